//! Checkpoints that workloads make because somebody asks for one.

use super::{Due, Kind, Mark, World};
use crate::model::{Answer, Claim, REQUEST, Refusal, STATE};
use jiff::Timestamp;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// How a workload of the world wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Annotation,
    Exec,
    Http,
}

impl Asked {
    pub const ALL: [(&'static str, Asked); 3] =
        [("annotation", Asked::Annotation), ("exec", Asked::Exec), ("http", Asked::Http)];

    /// What its pods say of it.
    pub(super) fn annotations(self) -> Vec<(String, String)> {
        let word = Asked::ALL.iter().find(|(_, it)| *it == self).map_or("", |(word, _)| *word);
        let mut all = vec![(crate::model::ASKED_BY.to_owned(), word.to_owned())];
        if self == Asked::Exec {
            all.push((format!("{}-command", crate::model::ASKED_BY), "save".into()));
        }
        all
    }
}

/// A checkpoint that is being written, or the last one that was: of a gang, or of one pod.
#[derive(Debug, Clone, Default)]
pub(super) struct Saves {
    /// From when, and until when.
    under_way: Option<(Timestamp, Timestamp)>,
    /// Work until then is kept.
    pub(super) kept: Option<Timestamp>,
    made: u32,
}

/// Where a checkpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saving {
    /// Not before then.
    Until(Timestamp),
    Durable,
    /// It never will be.
    Never,
}

impl World {
    fn saves(&mut self, uid: &str) -> Option<&mut Saves> {
        let run = self.pods.get_mut(uid)?;
        match self.apps[run.app].spec.kind {
            Kind::Gang => Some(&mut self.apps[run.app].saves),
            _ => Some(&mut run.saves),
        }
    }

    /// A pod is asked for a checkpoint: it begins, goes on, or has nothing to do with it.
    pub fn asked_to_save(&mut self, namespace: &str, name: &str) -> Saving {
        let Some(uid) = self.names.get(&(namespace.to_owned(), name.to_owned())).cloned() else {
            return Saving::Never;
        };
        let Some(run) = self.pods.get(&uid) else { return Saving::Never };
        let running = run.running_since.is_some();
        let spec = &self.apps[run.app].spec;
        let Some(takes) = spec.checkpoint.as_ref().filter(|it| !it.fails).map(|it| it.takes) else {
            return Saving::Never;
        };
        let now = self.now;
        let waits = match self.saves(&uid) {
            Some(saves) => match saves.under_way {
                Some((_, until)) => Some(until),
                // One that was made for the same interruption is good enough.
                None if saves.kept.is_some_and(|kept| now.duration_since(kept).as_secs() < 120) => {
                    return Saving::Durable;
                }
                None => None,
            },
            None => None,
        };
        if let Some(until) = waits {
            return Saving::Until(until);
        }
        if !running {
            return Saving::Never;
        }
        let until = self.begins_to_save(&uid, takes);
        Saving::Until(until)
    }

    fn begins_to_save(&mut self, uid: &str, takes: Duration) -> Timestamp {
        let now = self.now;
        self.saving.retain(|(until, _)| *until > now);
        let takes = self.cloud.storage_takes(takes, self.saving.len());
        let until = self.later(takes);
        self.saving.insert((until, uid.to_owned()));
        if let Some(saves) = self.saves(uid) {
            saves.under_way = Some((now, until));
        }
        self.plan(until, Due::Saved(uid.to_owned()));
        until
    }

    /// It is written, unless what it was of has gone meanwhile.
    pub(super) fn has_saved(&mut self, uid: &str) {
        let Some(saves) = self.saves(uid) else { return };
        let Some((since, _)) = saves.under_way.take() else { return };
        (saves.kept, saves.made) = (Some(since), saves.made + 1);
        let made = saves.made;
        self.sums.checkpoints += 1;
        let Some(run) = self.pods.get_mut(uid) else { return };
        let spec = &self.apps[run.app].spec;
        let reference = format!("s3://checkpoints/{}/{}/{made}", spec.namespace, spec.name);
        let by_annotation =
            spec.checkpoint.as_ref().is_some_and(|it| it.asked == Some(Asked::Annotation));
        if by_annotation && let Some((id, _)) = run.pod.checkpoint_asked() {
            let state =
                json!({ "state": "durable", "id": id, "reference": reference, "at": since });
            run.pod.annotations.insert(STATE.into(), state.to_string());
            self.news.pod(&run.pod);
        }
        let (name, node) = (run.pod.full_name(), run.pod.node.clone());
        self.note(Some(&node), Mark::Note, format!("{name} has made the checkpoint {reference}"));
    }

    /// One that is lost takes what it was writing with it.
    pub(super) fn stops_saving(&mut self, uid: &str) {
        if let Some(saves) = self.saves(uid) {
            saves.under_way = None;
        }
    }

    /// Annotations of a pod, as the API server takes them.
    pub(super) fn patch_pod(
        &mut self,
        uid: &str,
        annotations: &BTreeMap<String, Option<String>>,
        claim: Option<&Claim>,
    ) -> Answer {
        let Some(run) = self.pods.get_mut(uid) else { return Answer::Refused(Refusal::Gone) };
        if let (Some(claim), Some((id, at))) = (claim, run.pod.checkpoint_asked())
            && id != claim.id
            && at >= claim.since
        {
            return Answer::Refused(Refusal::Changed("somebody else has asked".into()));
        }
        for (key, value) in annotations {
            match value {
                Some(value) => run.pod.annotations.insert(key.clone(), value.clone()),
                None => run.pod.annotations.remove(key),
            };
        }
        let pod = run.pod.clone();
        self.news.pod(&pod);
        let checkpoint = self.apps[self.pods[uid].app].spec.checkpoint.as_ref();
        let by_annotation = checkpoint.is_some_and(|it| it.asked == Some(Asked::Annotation));
        if by_annotation && annotations.contains_key(REQUEST) {
            self.asked_to_save(&pod.namespace, &pod.name);
        }
        Answer::Done
    }

    /// The pod with that address.
    pub fn pod_at(&self, ip: &str) -> Option<(String, String)> {
        let run = self.pods.values().find(|run| run.pod.ip == ip)?;
        Some((run.pod.namespace.clone(), run.pod.name.clone()))
    }
}
