//! What was told before: a restart goes on where it was, and what is listed once more is no news.
//!
//! An event of the API has a version of its own: what is newer than the last one that was taken is news. A condition is
//! news by the time of its transition. What happened in the same seconds as the last that was taken is known by its id.

use super::Happening;
use crate::cluster::Followed;
use crate::log::Seq;
use crate::model::{Envelope, Event, Id};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Clocks of kubelets differ, and times are told to the second.
const SLACK: Duration = Duration::from_secs(60);
/// Ids of the last seconds that are kept: more happens within a minute only in a storm, and then a few are told twice.
const MOST_EDGE: usize = 8192;

/// Where a feed stands, kept beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Of the last object that was taken; what the server is asked to go on from.
    pub(super) version: String,
    /// The latest moment that was told of.
    pub(super) upto: Timestamp,
    /// Ids of what was told of the last seconds before that, in short.
    pub(super) edge: BTreeSet<(Timestamp, String)>,
    /// Where the log stood then.
    pub(super) seq: Seq,
}

#[derive(Debug)]
pub(super) struct Told {
    pub(super) mark: Mark,
    events: bool,
    /// Nothing was followed before: what is there now is how things are, and not what happens.
    first: bool,
    /// What each object told last, by what it was about.
    known: BTreeMap<String, BTreeMap<String, Id>>,
    /// What another life has made durable without saying so to the mark.
    tail: BTreeSet<Id>,
}

/// Versions of the API server grow: source Kubernetes 1.35, "comparable resource version semantics".
fn newer(version: &str, than: &str) -> Option<bool> {
    Some(version.parse::<u128>().ok()? > than.parse::<u128>().ok()?)
}

fn short(id: &Id) -> String {
    id.short(12).to_owned()
}

impl Told {
    pub(super) fn new(
        what: &Followed,
        mark: Option<Mark>,
        tail: BTreeSet<Id>,
        now: Timestamp,
    ) -> Told {
        let first = mark.is_none();
        let mark = mark.unwrap_or_else(|| Mark { upto: now, ..Mark::default() });
        let events = matches!(what, Followed::Events { .. });
        Told { mark, events, first, known: BTreeMap::new(), tail }
    }

    /// What of that is news. `listed`: it was there when everything was listed.
    pub(super) fn news(
        &mut self,
        object: &Value,
        happenings: Vec<Happening>,
        listed: bool,
    ) -> Vec<Envelope<Event>> {
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        let mut news = vec![];
        for Happening { about, event } in happenings {
            let known = self.known.entry(uid.to_owned()).or_default();
            if known.insert(about, event.id.clone()).as_ref() == Some(&event.id) {
                continue;
            }
            let old = listed && (self.first || self.is_old(version, &event));
            if !old && !self.tail.contains(&event.id) {
                news.push(event);
            }
        }
        if self.events && !listed {
            self.reached(version);
        }
        news
    }

    fn is_old(&self, version: Option<&str>, event: &Envelope<Event>) -> bool {
        if self.events
            && let Some(newer) = version.and_then(|version| newer(version, &self.mark.version))
        {
            return !newer;
        }
        let since = self.mark.upto.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
        event.time < since || self.mark.edge.contains(&(event.time, short(&event.id)))
    }

    /// The object is gone, and what it told with it.
    pub(super) fn gone(&mut self, uid: &str) {
        self.known.remove(uid);
    }

    /// Everything up to that version has been heard.
    pub(super) fn reached(&mut self, version: Option<&str>) {
        if let Some(version) = version
            && newer(version, &self.mark.version).unwrap_or(true)
        {
            self.mark.version = version.to_owned();
        }
    }

    /// Everything that was there has been listed, as of that version.
    pub(super) fn listed(&mut self, version: &str) {
        self.first = false;
        self.mark.version = version.to_owned();
    }

    /// That is durable.
    pub(super) fn durable(&mut self, events: &[Envelope<Event>], seq: Seq) {
        self.mark.seq = seq;
        for event in events {
            self.mark.upto = self.mark.upto.max(event.time);
            self.mark.edge.insert((event.time, short(&event.id)));
        }
        let since = self.mark.upto.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
        while self.mark.edge.len() > MOST_EDGE
            || self.mark.edge.first().is_some_and(|(at, _)| *at < since)
        {
            self.mark.edge.pop_first();
        }
    }
}
