//! Velero, AWS Backup and EC2's snapshots: what they are asked for is done after a while, and ends as the scenario has it.

use super::{Due, Mark, World};
use crate::model::{Answer, CloudCall, Id, Made, Question, Refusal, Resource, Standing};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// How a backup ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ends {
    #[default]
    Completed,
    Failed,
    PartiallyFailed,
    /// Velero is started anew while it works on the first one.
    Interrupted,
}

impl Ends {
    pub const ALL: [(&'static str, Ends); 4] = [
        ("completed", Ends::Completed),
        ("failed", Ends::Failed),
        ("partially-failed", Ends::PartiallyFailed),
        ("interrupted", Ends::Interrupted),
    ];
}

/// How the tools behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backups {
    pub takes: Duration,
    pub ends: Ends,
    /// Velero can reach where it keeps things.
    pub reachable: bool,
    /// Claims, as `namespace/name`.
    pub claims: Vec<String>,
    /// How old the newest good backup of everything is at the beginning.
    pub last: Option<Duration>,
}

impl Default for Backups {
    fn default() -> Backups {
        let (takes, ends) = (Duration::from_secs(300), Ends::Completed);
        Backups { takes, ends, reachable: true, claims: vec![], last: None }
    }
}

#[derive(Debug, Clone)]
struct Job {
    id: String,
    resource: String,
    begun: Timestamp,
    ends: Ends,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    manners: Backups,
    /// Velero's, by name.
    velero: BTreeMap<String, (Value, Timestamp, Ends)>,
    /// AWS Backup's, by token.
    jobs: BTreeMap<String, Job>,
    /// EC2's snapshots, by volume and tag.
    snapshots: BTreeMap<(String, String), (String, Timestamp)>,
    /// Of everything, before the world began.
    oldest: Option<Timestamp>,
}

impl World {
    pub fn keeps_backups(&mut self, manners: Backups) {
        self.shelf.oldest = manners.last.and_then(|age| self.now.checked_sub(age).ok());
        self.shelf.manners = manners;
    }

    /// What the API server knows of backups, claims and volumes.
    pub(super) fn asked_of_backups(&self, question: &Question) -> Answer {
        let said = |value: Option<Value>| match value {
            Some(value) => Answer::Said(value.to_string()),
            None => Answer::Refused(Refusal::Gone),
        };
        match question {
            Question::One { what: Resource::BACKUP, name, .. } => said(self.velero_backup(name)),
            Question::One { what: Resource::CLAIM, namespace, name } => {
                let whole = format!("{}/{name}", namespace.as_deref().unwrap_or_default());
                said(self.shelf.manners.claims.contains(&whole).then(|| claim(&whole)))
            }
            Question::One { what: Resource::VOLUME, name, .. } => {
                let spec = json!({ "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": format!("vol-{name}") } });
                said(Some(json!({ "metadata": { "name": name }, "spec": spec })))
            }
            Question::One { .. } => said(None),
            Question::Many { what: Resource::BACKUP_LOCATION, .. } => {
                let phase = if self.shelf.manners.reachable { "Available" } else { "Unavailable" };
                said(Some(json!([{
                    "metadata": { "name": "default" }, "spec": { "default": true },
                    "status": { "phase": phase, "message": "the bucket does not answer" },
                }])))
            }
            Question::Many { what: Resource::BACKUP, .. } => {
                let made = self.shelf.velero.keys().filter_map(|name| self.velero_backup(name));
                let old = self.shelf.oldest.map(|at| {
                    json!({ "metadata": { "name": "before" }, "spec": {}, "status": done(at) })
                });
                said(Some(made.chain(old).collect()))
            }
            Question::Many { what: Resource::CLAIM, namespace, .. } => {
                let within = |claim: &&String| {
                    let (of, _) = claim.split_once('/').unwrap_or_default();
                    namespace.as_ref().is_none_or(|namespace| namespace == of)
                };
                let claims = self.shelf.manners.claims.iter().filter(within);
                said(Some(claims.map(|whole| claim(whole)).collect()))
            }
            _ => said(Some(json!([]))),
        }
    }

    /// An object is made; a second one of its name is none.
    pub(super) fn make_object(&mut self, made: &Made) -> Answer {
        if self.shelf.velero.contains_key(&made.name) {
            let message = format!("{} \"{}\" already exists", made.what.plural, made.name);
            return Answer::Refused(Refusal::Changed(message));
        }
        let ends = match self.shelf.manners.ends {
            Ends::Interrupted if !self.shelf.velero.is_empty() => Ends::Completed,
            ends => ends,
        };
        self.shelf.velero.insert(made.name.clone(), (made.body.clone(), self.now, ends));
        self.begins("Velero", &made.name, ends);
        Answer::Done
    }

    fn begins(&mut self, tool: &str, what: &str, ends: Ends) {
        self.note(None, Mark::Note, format!("{tool} begins a backup: {what}"));
        let word = Ends::ALL.iter().find(|(_, it)| *it == ends).map_or("", |(word, _)| *word);
        let at = self.later(self.shelf.manners.takes);
        self.plan(at, Due::Said(format!("{tool} is done with {what}: {word}")));
    }

    fn is_done(&self, begun: Timestamp) -> bool {
        let takes = self.shelf.manners.takes;
        self.now.duration_since(begun) >= takes.try_into().unwrap_or_default()
    }

    fn velero_backup(&self, name: &str) -> Option<Value> {
        let (body, begun, ends) = self.shelf.velero.get(name)?;
        let status = match (self.is_done(*begun), ends) {
            (false, _) => {
                json!({ "phase": "InProgress", "progress": { "totalItems": 40, "itemsBackedUp": 7 } })
            }
            (true, Ends::Completed) => {
                done(begun.checked_add(self.shelf.manners.takes).unwrap_or(*begun))
            }
            (true, Ends::PartiallyFailed) => json!({ "phase": "PartiallyFailed", "errors": 2 }),
            (true, Ends::Failed) => {
                json!({ "phase": "Failed", "failureReason": "the bucket is full" })
            }
            (true, Ends::Interrupted) => {
                let why = "found a backup with status \"InProgress\" during the server starting, mark it as \"Failed\"";
                json!({ "phase": "Failed", "failureReason": why })
            }
        };
        Some(json!({ "metadata": { "name": name }, "spec": body["spec"], "status": status }))
    }

    pub(super) fn backup_call(&mut self, call: &CloudCall) -> Answer {
        let found = match call {
            CloudCall::StartBackup { resource, token, .. } => {
                return self.start_backup(&resource.to_string(), token);
            }
            CloudCall::Tagged { .. } => return self.tagged(),
            CloudCall::RunningBackup { resource, .. } => self.running(&resource.to_string()),
            CloudCall::BackupJob { id } => {
                self.shelf.jobs.values().find(|job| job.id == *id).map(|job| self.job(job))
            }
            CloudCall::RecoveryPoint { arn, .. } => {
                Some(Standing { id: arn.clone(), state: "COMPLETED".into(), ..Standing::default() })
            }
            CloudCall::NewestRecoveryPoint { resource, .. } => {
                let resource = resource.to_string();
                let good = self.shelf.jobs.values().filter(|job| {
                    let done = job.ends == Ends::Completed && self.is_done(job.begun);
                    job.resource == resource && done
                });
                let newest = good.map(|job| job.begun).chain(self.shelf.oldest).max();
                newest.map(|at| made("point", "COMPLETED", at))
            }
            CloudCall::TakeSnapshot { volume, key, .. } => {
                let (slot, now) = ((volume.clone(), key.clone()), self.now);
                let id = format!("snap-{}", Id::of(&[volume, key]).short(12));
                let (id, _) = self.shelf.snapshots.entry(slot).or_insert((id, now)).clone();
                Some(self.snapshot(&id))
            }
            CloudCall::SnapshotState { id } => Some(self.snapshot(id)),
            CloudCall::NewestSnapshot { volume } => {
                let all = self.shelf.snapshots.iter().filter(|((of, _), _)| of == volume);
                let done = all.map(|(_, (_, at))| *at).filter(|at| self.is_done(*at));
                let newest = done.chain(self.shelf.oldest).max();
                newest.map(|at| made("snap", "completed", at))
            }
            CloudCall::CompleteHook { .. }
            | CloudCall::Heartbeat { .. }
            | CloudCall::ObjectChanged { .. }
            | CloudCall::Provision(_)
            | CloudCall::GiveBack { .. } => None,
        };
        found.map_or(Answer::Refused(Refusal::Gone), said)
    }

    fn running(&self, resource: &str) -> Option<Standing> {
        let mut jobs = self.shelf.jobs.values();
        let running = jobs.find(|job| job.resource == resource && !self.is_done(job.begun));
        running.map(|job| self.job(job))
    }

    /// As many as there are claims.
    fn tagged(&self) -> Answer {
        let arn = |claim: &String| {
            let name = claim.replace('/', "-");
            format!("arn:aws:ec2:eu-west-1:123456789012:volume/vol-{name}")
        };
        let all: Vec<String> = self.shelf.manners.claims.iter().map(arn).collect();
        Answer::Said(json!(all).to_string())
    }

    fn start_backup(&mut self, resource: &str, token: &str) -> Answer {
        if !self.shelf.jobs.contains_key(token) {
            let busy = |job: &Job| job.resource == resource && !self.is_done(job.begun);
            if self.shelf.jobs.values().any(busy) {
                let message = "there is a running job for the same resource";
                return Answer::Refused(Refusal::Changed(message.into()));
            }
            let (id, ends) = (
                format!("job-{}", &token[..8.min(token.len())]),
                match self.shelf.manners.ends {
                    Ends::Interrupted => Ends::Completed,
                    ends => ends,
                },
            );
            let job = Job { id, resource: resource.to_owned(), begun: self.now, ends };
            self.shelf.jobs.insert(token.to_owned(), job);
            self.begins("AWS Backup", resource, ends);
        }
        said(self.shelf.jobs.get(token).map(|job| self.job(job)).unwrap_or_default())
    }

    fn job(&self, job: &Job) -> Standing {
        let state = match (self.is_done(job.begun), job.ends) {
            (false, _) => "RUNNING",
            (true, Ends::Completed) => "COMPLETED",
            (true, Ends::PartiallyFailed) => "PARTIAL",
            (true, Ends::Failed) => "FAILED",
            (true, Ends::Interrupted) => "ABORTED",
        };
        let point = (state == "COMPLETED")
            .then(|| format!("arn:aws:backup:eu-west-1:123456789012:recovery-point:{}", job.id));
        let (id, state) = (job.id.clone(), state.to_owned());
        Standing { id, state, recovery_point: point, ..Standing::default() }
    }

    fn snapshot(&self, id: &str) -> Standing {
        let mut all = self.shelf.snapshots.values();
        let begun = all.find(|(known, _)| known == id).map(|(_, begun)| *begun);
        let over = begun.is_some_and(|begun| self.is_done(begun));
        let state = if over { "completed" } else { "pending" };
        Standing { id: id.into(), state: state.into(), made_at: begun, ..Standing::default() }
    }
}

fn said(standing: Standing) -> Answer {
    Answer::Said(serde_json::to_string(&standing).unwrap_or_default())
}

fn made(id: &str, state: &str, at: Timestamp) -> Standing {
    let (id, state) = (id.to_owned(), state.to_owned());
    Standing { id, state, made_at: Some(at), ..Standing::default() }
}

fn claim(whole: &str) -> Value {
    let (_, name) = whole.split_once('/').unwrap_or_default();
    json!({
        "metadata": { "name": name }, "spec": { "volumeName": whole.replace('/', "-") },
        "status": { "phase": "Bound" },
    })
}

fn done(at: Timestamp) -> Value {
    json!({
        "phase": "Completed", "completionTimestamp": at.to_string(),
        "progress": { "totalItems": 40, "itemsBackedUp": 40 },
    })
}
