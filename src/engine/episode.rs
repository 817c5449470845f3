//! Episodes of alerts: one from its first firing to its resolution, however often it is told.
//!
//! Keyed by fingerprint, since the group key changes with the route tree and `startsAt` moves.

use crate::model::{Alert, AlertStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What one alert in one body, or one notice, told us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It fires, and did not.
    Opened,
    /// It still fires: a repeat, an HA twin, a retry. Of a notice: another feed tells the same.
    Again,
    /// It fired anew without our hearing that it had stopped: the same episode.
    Flapped,
    /// It has stopped.
    Closed,
    /// A late copy of what is over, or the end of what we never saw begin.
    Stale,
    /// Not an alert.
    Other,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Episode {
    pub opened_at: Timestamp,
    pub last_seen: Timestamp,
    /// The earliest that any copy told: Alertmanager moves it backwards.
    pub starts_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    pub flaps: u32,
    pub group_key: String,
}

/// Two Prometheus replicas see the same beginning this far apart.
const TOLERANCE: Duration = Duration::from_secs(120);
/// Closed episodes are remembered so long, so that a late copy opens nothing.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);
/// Open and closed together. At about 200 bytes each, 40 MB; a cluster of 10,000 nodes has a tenth of it firing.
const MOST: usize = 200_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Episodes {
    by_fingerprint: BTreeMap<String, Episode>,
    /// Closed ones by when we heard of their end, to forget the oldest first.
    closed: BTreeSet<(Timestamp, String)>,
    /// Episodes forgotten although open, because there were too many.
    pub overflowed: u64,
}

impl Episodes {
    /// Takes in one alert that the log recorded at `now`.
    pub fn take(&mut self, alert: &Alert, now: Timestamp) -> News {
        let news = match alert.status {
            AlertStatus::Firing => self.firing(alert, now),
            AlertStatus::Resolved => self.resolved(alert, now),
        };
        self.forget(now);
        news
    }

    fn firing(&mut self, alert: &Alert, now: Timestamp) -> News {
        let Some(known) = self.by_fingerprint.get_mut(&alert.fingerprint) else {
            self.open(alert, now);
            return News::Opened;
        };
        if let Some(closed_at) = known.closed_at {
            if alert.starts_at <= closed_at {
                return News::Stale;
            }
            self.closed.remove(&(known.last_seen, alert.fingerprint.clone()));
            self.open(alert, now);
            return News::Opened;
        }
        known.last_seen = now;
        let later = alert.starts_at.duration_since(known.starts_at);
        if later > TOLERANCE.try_into().unwrap_or_default() {
            known.flaps += 1;
            known.starts_at = alert.starts_at;
            return News::Flapped;
        }
        known.starts_at = known.starts_at.min(alert.starts_at);
        News::Again
    }

    fn open(&mut self, alert: &Alert, now: Timestamp) {
        let episode = Episode {
            opened_at: now,
            last_seen: now,
            starts_at: alert.starts_at,
            closed_at: None,
            flaps: 0,
            group_key: alert.group_key.clone(),
        };
        self.by_fingerprint.insert(alert.fingerprint.clone(), episode);
    }

    fn resolved(&mut self, alert: &Alert, now: Timestamp) -> News {
        let ended = alert.ends_at.unwrap_or(now);
        match self.by_fingerprint.get(&alert.fingerprint) {
            // It ended before this episode began: a late copy of the one before.
            Some(known) if known.closed_at.is_none() && ended >= known.starts_at => {
                self.close(&alert.fingerprint, ended, now);
                News::Closed
            }
            _ => News::Stale,
        }
    }

    /// Ends an episode, at the time that the sender gave: a firing that began before it is a late copy.
    pub(super) fn close(&mut self, fingerprint: &str, ended: Timestamp, now: Timestamp) {
        if let Some(known) = self.by_fingerprint.get_mut(fingerprint) {
            (known.closed_at, known.last_seen) = (Some(ended), now);
            self.closed.insert((now, fingerprint.to_owned()));
        }
    }

    /// The open episodes of a group that `active` does not name: what a truncated body hid is over.
    pub(super) fn hidden_ends(
        &self,
        group_key: &str,
        active: &[String],
        asked_at: Timestamp,
    ) -> Vec<String> {
        self.by_fingerprint
            .iter()
            .filter(|(_, episode)| episode.closed_at.is_none() && episode.group_key == group_key)
            .filter(|(fingerprint, episode)| {
                episode.last_seen < asked_at && !active.contains(fingerprint)
            })
            .map(|(fingerprint, _)| fingerprint.clone())
            .collect()
    }

    pub fn len(&self) -> usize {
        self.by_fingerprint.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_fingerprint.is_empty()
    }

    fn forget(&mut self, now: Timestamp) {
        let horizon = now.checked_sub(REMEMBER).unwrap_or(Timestamp::MIN);
        while let Some((heard_at, fingerprint)) = self.closed.first() {
            if *heard_at >= horizon && self.by_fingerprint.len() <= MOST {
                return;
            }
            self.by_fingerprint.remove(fingerprint);
            self.closed.pop_first();
        }
        // Only open ones are left to forget: the one that was quiet for longest.
        if self.by_fingerprint.len() > MOST {
            let quietest = self.by_fingerprint.iter().min_by_key(|(_, episode)| episode.last_seen);
            if let Some(fingerprint) = quietest.map(|(fingerprint, _)| fingerprint.clone()) {
                self.by_fingerprint.remove(&fingerprint);
                self.overflowed += 1;
            }
        }
    }
}
