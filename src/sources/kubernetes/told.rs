//! What was told before: a restart goes on where it was, and what is listed once more is no news.
//!
//! An event of the API has a version of its own: what is newer than the last one that was taken is news. Of everything
//! else it is remembered what each object told last about each of its things: another word about it is news, whatever
//! the clocks of kubelets show.

use super::Happening;
use crate::cluster::Followed;
use crate::log::Seq;
use crate::model::{Envelope, Event, Id};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What each object told last, by what it was about: ids, in short.
type Known = BTreeMap<String, BTreeMap<String, String>>;

/// Where a feed stands, kept beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Everything that was there has been listed once.
    pub(super) listed: bool,
    /// Of the last object that was taken; what the server is asked to go on from.
    pub(super) version: String,
    /// Where the log stood then.
    pub(super) seq: Seq,
    /// Of events nothing: their versions tell.
    pub(super) known: Known,
}

#[derive(Debug)]
pub(super) struct Told {
    version: String,
    events: bool,
    /// Nothing was followed before: what is there now is how things are, and not what happens.
    first: bool,
    known: Known,
    /// What another life has made durable without saying so to the mark.
    tail: BTreeSet<Id>,
    /// What has been seen of the list that is under way.
    seen: BTreeSet<String>,
    changed: bool,
}

/// Versions of the API server grow: source Kubernetes 1.35, "comparable resource version semantics".
fn newer(version: &str, than: &str) -> Option<bool> {
    Some(version.parse::<u128>().ok()? > than.parse::<u128>().ok()?)
}

impl Told {
    pub(super) fn new(what: &Followed, mark: Option<Mark>, tail: BTreeSet<Id>) -> Told {
        let events = matches!(what, Followed::Events { .. });
        let first = !mark.as_ref().is_some_and(|mark| mark.listed);
        let Mark { version, known, .. } = mark.unwrap_or_default();
        let (seen, changed) = (BTreeSet::new(), false);
        Told { version, events, first, known, tail, seen, changed }
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
        if listed {
            self.seen.insert(uid.to_owned());
        }
        let newer = version.and_then(|version| newer(version, &self.version));
        let old = listed && (self.first || self.events && newer == Some(false));
        let mut news = vec![];
        for Happening { about, event, settles } in happenings {
            let short = event.id.short(12);
            let last = self.known.get(uid).and_then(|known| known.get(&about));
            if last.is_some_and(|last| last == short) || settles && last.is_none() {
                continue;
            }
            let known = self.known.entry(uid.to_owned()).or_default();
            match settles {
                true => drop(known.remove(&about)),
                false => drop(known.insert(about, short.to_owned())),
            }
            self.changed = true;
            if !old && !self.tail.contains(&event.id) {
                news.push(event);
            }
        }
        if !listed {
            self.reached(version);
        }
        news
    }

    /// The object is gone, and what it told with it.
    pub(super) fn gone(&mut self, uid: &str) {
        self.changed |= self.known.remove(uid).is_some();
    }

    /// Everything up to that version has been heard.
    pub(super) fn reached(&mut self, version: Option<&str>) {
        if let Some(version) = version
            && newer(version, &self.version).unwrap_or(true)
        {
            version.clone_into(&mut self.version);
            self.changed = true;
        }
    }

    /// Everything that was there has been listed, as of that version.
    pub(super) fn listed(&mut self, version: &str) {
        let seen = std::mem::take(&mut self.seen);
        self.known.retain(|uid, _| seen.contains(uid));
        version.clone_into(&mut self.version);
        (self.first, self.changed) = (false, true);
        self.settled();
    }

    /// What another life told has been heard again by now.
    pub(super) fn settled(&mut self) {
        self.tail.clear();
    }

    /// Where it stands, if that is another place than before. Everything that was news is in the log up to `seq`.
    pub(super) fn mark(&mut self, seq: Seq) -> Option<Mark> {
        if self.first || !std::mem::take(&mut self.changed) {
            return None;
        }
        let known = if self.events { Known::new() } else { self.known.clone() };
        Some(Mark { listed: true, version: self.version.clone(), seq, known })
    }
}
