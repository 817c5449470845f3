//! A Velero backup: its storage location is looked at, it is made under a name that is the same for ever, and watched
//! until Velero is done with it. That it is "Completed" is not enough: what is in it is counted.
//!
//! Source: velero pkg/apis/velero/v1/backup_types.go and pkg/cmd/cli/backup/create.go; `queuePosition` is of 1.18.

mod judge;

pub(super) use judge::{Judged, judge, wanting};

use super::super::super::saga::Work;
use super::super::Status;
use super::super::turn::{Turn, Weighed};
use super::{Asking, marks};
use crate::model::{
    Answer, ClusterCall, Id, Made, Plan, Question, Resource, Span, VeleroBackup, Volumes, label,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A server that was started anew has failed what it was doing: it is asked for again, so often.
const ATTEMPTS: u32 = 3;
/// Storage locations that are looked at.
const MOST_LOCATIONS: u32 = 100;

#[derive(Debug)]
enum Stage {
    Location,
    Create,
    Watch,
    Over(Result<String, String>),
}

#[derive(Debug)]
pub(super) struct Velero {
    of: VeleroBackup,
    name: String,
    labels: BTreeMap<String, String>,
    attempt: u32,
    stage: Stage,
    turn: Turn,
    until: Timestamp,
    /// What was said last, for whoever asks why it takes so long.
    last: String,
}

impl Velero {
    pub(super) fn new(
        plan: &Plan,
        key: &Id,
        of: &VeleroBackup,
        until: Timestamp,
        now: Timestamp,
    ) -> Velero {
        Velero {
            of: of.clone(),
            name: format!("medevac-{}", key.short(16)),
            labels: marks(plan).map(|(name, value)| (name, label(&value))).into(),
            attempt: 1,
            stage: Stage::Location,
            turn: Turn::new(now),
            until,
            last: "nothing was heard of Velero yet".into(),
        }
    }

    fn name(&self) -> String {
        match self.attempt {
            1 => self.name.clone(),
            attempt => format!("{}-{attempt}", self.name),
        }
    }

    fn namespace(&self) -> Option<String> {
        Some(self.of.velero_namespace.clone())
    }

    fn spec(&self) -> Value {
        let mut spec = json!({
            "ttl": go_duration(self.of.ttl),
            "snapshotVolumes": self.of.volumes != Volumes::Skip,
        });
        if !self.of.namespaces.is_empty() {
            spec["includedNamespaces"] = json!(self.of.namespaces);
        }
        if !self.of.labels.is_empty() {
            spec["labelSelector"] = json!({ "matchLabels": self.of.labels });
        }
        if self.of.volumes == Volumes::Move {
            spec["snapshotMoveData"] = json!(true);
        }
        if let Some(location) = &self.of.storage_location {
            spec["storageLocation"] = json!(location);
        }
        json!({ "spec": spec })
    }

    fn fail(&mut self, why: impl Into<String>) {
        self.stage = Stage::Over(Err(why.into()));
    }

    fn located(&mut self, said: &str, now: Timestamp) {
        match judge::location(said, self.of.storage_location.as_deref()) {
            Ok(()) => {
                self.stage = Stage::Create;
                self.turn.on(now);
            }
            Err(why) => self.fail(why),
        }
    }

    fn seen(&mut self, said: &str, now: Timestamp) {
        let object: Value = serde_json::from_str(said).unwrap_or_default();
        match judge(&object["status"], self.of.expect_volumes) {
            Judged::Running(how) => {
                self.last = how;
                self.turn.later(now);
            }
            Judged::Good(how) => self.stage = Stage::Over(Ok(format!("{}: {how}", self.name()))),
            Judged::Interrupted(_) if self.attempt < ATTEMPTS => {
                self.attempt += 1;
                self.stage = Stage::Create;
                self.turn.on(now);
            }
            Judged::Bad(why) | Judged::Interrupted(why) => {
                let name = self.name();
                self.fail(format!("{name}: {why}"));
            }
        }
    }
}

impl Asking for Velero {
    fn poll(&mut self, now: Timestamp) -> Vec<(String, Work)> {
        if matches!(self.stage, Stage::Over(_)) || !self.turn.take(now) {
            return vec![];
        }
        let (namespace, name) = (self.namespace(), self.name());
        let work = match self.stage {
            Stage::Location => Work::Ask(Question::Many {
                what: Resource::BACKUP_LOCATION,
                namespace,
                labels: String::new(),
                limit: MOST_LOCATIONS,
            }),
            Stage::Create => Work::Cluster(ClusterCall::Make(Made {
                what: Resource::BACKUP,
                namespace: self.of.velero_namespace.clone(),
                name,
                body: self.spec(),
                labels: self.labels.clone(),
            })),
            Stage::Watch => Work::Ask(Question::One { what: Resource::BACKUP, namespace, name }),
            Stage::Over(_) => return vec![],
        };
        vec![(String::new(), work)]
    }

    fn answer(&mut self, _: &str, answer: Answer, now: Timestamp) {
        match (&self.stage, self.turn.weigh(answer, now)) {
            (_, Weighed::Again(why)) => self.last = why,
            (Stage::Location, Weighed::Said(said)) => self.located(&said, now),
            // Whoever finds the name taken has made it in another life.
            (Stage::Create, Weighed::Said(_) | Weighed::Changed(_)) => {
                self.stage = Stage::Watch;
                self.turn.on(now);
            }
            (Stage::Watch, Weighed::Said(said)) => self.seen(&said, now),
            (Stage::Watch, Weighed::Gone) => {
                let name = self.name();
                self.fail(format!("{name} was deleted"));
            }
            (Stage::Location | Stage::Create, Weighed::Gone) => {
                let place = &self.of.velero_namespace;
                let why = format!("Velero is not installed, or not in the namespace `{place}`");
                self.fail(why);
            }
            (_, Weighed::Never(why) | Weighed::Changed(why)) => self.fail(why),
            (Stage::Over(_), _) => {}
        }
    }

    fn status(&self, now: Timestamp) -> Status {
        match &self.stage {
            Stage::Over(Ok(how)) => Status::Done(how.clone()),
            Stage::Over(Err(why)) => Status::Failed(why.clone()),
            _ if now >= self.until => {
                Status::Failed(format!("{} is not done in time: {}", self.name(), self.last))
            }
            _ => Status::Working,
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.turn.wake_at().into_iter().chain([self.until]).min()
    }

    fn busy(&self) -> bool {
        self.turn.busy()
    }
}

/// As Go writes it: hours at the most.
fn go_duration(span: Span) -> String {
    let seconds = span.0.as_secs();
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
