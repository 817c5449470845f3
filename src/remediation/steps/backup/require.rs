//! A backup that has to be there before something is taken away: its tool is asked, and the newest good one is told.

use super::super::super::saga::Work;
use super::super::Status;
use super::super::turn::{Turn, Weighed};
use super::Asking;
use super::aws::{Judged, judge_point};
use super::find::Find;
use super::velero::wanting;
use crate::model::{
    Answer, CloudCall, Protected, Question, RequireBackup, Resource, Span, Standing, Tool,
};
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::VecDeque, time::Duration};

/// Backups that are looked at. Velero's own clean-up keeps far fewer.
const MOST: u32 = 2000;

#[derive(Debug)]
pub(super) struct Require {
    of: RequireBackup,
    find: Option<Find>,
    /// Of AWS's: those that were not asked about yet.
    open: Option<VecDeque<Protected>>,
    turn: Turn,
    good: Vec<String>,
    over: Option<Result<String, String>>,
    until: Timestamp,
    last: String,
}

impl Require {
    pub(super) fn new(of: &RequireBackup, until: Timestamp, now: Timestamp) -> Require {
        let find = (of.of != Tool::Velero).then(|| Find::new(&of.sought, now));
        Require {
            of: of.clone(),
            find,
            open: None,
            turn: Turn::new(now),
            good: vec![],
            over: None,
            until,
            last: "nobody has answered yet".into(),
        }
    }

    /// The question to the tool, where it is its turn.
    fn ask(&self) -> Option<Work> {
        match self.of.of {
            Tool::Velero => Some(Work::Ask(Question::Many {
                what: Resource::BACKUP,
                namespace: Some(self.of.velero_namespace.clone()),
                labels: String::new(),
                limit: MOST,
            })),
            Tool::Aws => {
                let resource = self.open.as_ref()?.front()?.clone();
                let vault = self.of.vault.clone();
                Some(Work::Cloud(CloudCall::NewestRecoveryPoint { vault, resource }))
            }
            Tool::Snapshot => {
                let volume = self.open.as_ref()?.front()?.volume()?.to_owned();
                Some(Work::Cloud(CloudCall::NewestSnapshot { volume }))
            }
        }
    }

    fn too_old(&self, what: &str, at: Option<Timestamp>, now: Timestamp) -> String {
        let wanted = self.of.newer_than;
        match at {
            Some(at) => {
                let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
                let age = Span(Duration::from_secs(age.as_secs() / 60 * 60));
                format!("the newest good backup of {what} is {age} old, and {wanted} are allowed")
            }
            None => format!("{} has no good backup of {what}", self.of.of.word()),
        }
    }

    fn fresh(&self, at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(at) <= self.of.newer_than.0.try_into().unwrap_or_default()
    }

    fn velero(&mut self, said: &str, now: Timestamp) {
        let all: Vec<Value> = serde_json::from_str(said).unwrap_or_default();
        let good = all.iter().filter(|backup| self.covers(backup));
        let newest = good.filter_map(|backup| Some((made(backup)?, backup))).max_by_key(|it| it.0);
        let what = match self.of.sought.namespaces.as_slice() {
            [] => "everything".to_owned(),
            some => some.join(", "),
        };
        match newest {
            Some((at, backup)) if self.fresh(at, now) => {
                let name = backup["metadata"]["name"].as_str().unwrap_or_default();
                self.over = Some(Ok(format!("{name} of {at}")));
            }
            newest => {
                self.over = Some(Err(self.too_old(&what, newest.map(|it| it.0), now)));
            }
        }
    }

    /// A good backup with at least what is asked for in it.
    fn covers(&self, backup: &Value) -> bool {
        let texts = |path: &str| -> Vec<&str> {
            let list = backup.pointer(path).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).collect()
        };
        let (with, without) =
            (texts("/spec/includedNamespaces"), texts("/spec/excludedNamespaces"));
        let all = with.is_empty() || with.contains(&"*");
        let wanted = &self.of.sought.namespaces;
        let within = match wanted.is_empty() {
            true => all && without.is_empty(),
            false => wanted
                .iter()
                .all(|it| (all || with.contains(&it.as_str())) && !without.contains(&it.as_str())),
        };
        let labels = &backup["spec"]["labelSelector"];
        let selects = !labels.is_null() || backup["spec"]["orLabelSelectors"].is_array();
        let same = serde_json::to_value(&self.of.labels).unwrap_or_default();
        let selected = !selects || (!self.of.labels.is_empty() && labels["matchLabels"] == same);
        // What leaves kinds or volumes out is no backup of a namespace.
        let spec = backup["spec"].as_object().into_iter().flatten();
        let part = |(key, value): (&String, &Value)| {
            let lists = key.to_lowercase().ends_with("resources");
            let listed = value.as_array().is_some_and(|list| list.iter().any(|it| *it != "*"));
            lists && listed || key == "snapshotVolumes" && *value == false
        };
        let whole = !spec.into_iter().any(part)
            && labels["matchExpressions"].as_array().is_none_or(Vec::is_empty);
        let status = &backup["status"];
        whole
            && within
            && selected
            && status["phase"] == "Completed"
            && wanting(status, None).is_none()
    }

    fn standing(&mut self, said: &str, now: Timestamp) {
        let Some(of) = self.open.as_mut().and_then(VecDeque::pop_front) else { return };
        let standing: Standing = serde_json::from_str(said).unwrap_or_default();
        let good = match self.of.of {
            Tool::Snapshot => standing.state == "completed",
            _ => judge_point(&standing.state) == Judged::Good,
        };
        match standing.made_at.filter(|_| good) {
            Some(at) if self.fresh(at, now) => {
                self.good.push(format!("{} of {of}", standing.id));
                self.turn.on(now);
                if self.open.as_ref().is_some_and(VecDeque::is_empty) {
                    self.over = Some(Ok(self.good.join("; ")));
                }
            }
            at => self.over = Some(Err(self.too_old(&of.to_string(), at, now))),
        }
    }
}

/// What it holds is as old as its beginning.
fn made(backup: &Value) -> Option<Timestamp> {
    let status = &backup["status"];
    let begun = status["startTimestamp"].as_str().or(status["completionTimestamp"].as_str());
    begun?.parse().ok()
}

const FIND: &str = "find";

impl Asking for Require {
    fn poll(&mut self, now: Timestamp) -> Vec<(String, Work)> {
        if let (Some(find), None) = (&mut self.find, &self.open) {
            match find.found() {
                None => {
                    return find
                        .poll(now)
                        .map(|work| (FIND.to_owned(), work))
                        .into_iter()
                        .collect();
                }
                Some(Ok(all)) => self.open = Some(all.into()),
                Some(Err(why)) => self.over = Some(Err(why)),
            }
        }
        if self.over.is_some() {
            return vec![];
        }
        let Some(work) = self.ask() else {
            let odd = self.open.as_ref().and_then(|open| open.front());
            let odd = odd.map_or_else(String::new, ToString::to_string);
            let why = format!("{odd} is no volume: EC2 has snapshots of volumes alone");
            self.over = Some(Err(why));
            return vec![];
        };
        if self.turn.take(now) { vec![(String::new(), work)] } else { vec![] }
    }

    fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        if let (FIND, Some(find)) = (tag, &mut self.find) {
            return find.answer(answer, now);
        }
        match self.turn.weigh(answer, now) {
            Weighed::Again(why) => self.last = why,
            Weighed::Said(said) if self.of.of == Tool::Velero => self.velero(&said, now),
            Weighed::Said(said) => self.standing(&said, now),
            Weighed::Gone => {
                let what = self.open.as_ref().and_then(|open| open.front());
                let what = what.map_or_else(|| "anything".into(), ToString::to_string);
                self.over = Some(Err(self.too_old(&what, None, now)));
            }
            Weighed::Never(why) | Weighed::Changed(why) => self.over = Some(Err(why)),
        }
    }

    fn status(&self, now: Timestamp) -> Status {
        match &self.over {
            Some(Err(why)) => Status::Failed(why.clone()),
            Some(Ok(good)) => Status::Done(good.clone()),
            None if now >= self.until => {
                Status::Failed(format!("nobody could tell in time: {}", self.last))
            }
            None => Status::Working,
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let finding = self.find.as_ref().filter(|_| self.open.is_none());
        let next = finding.map_or_else(|| self.turn.wake_at(), |find| find.turn.wake_at());
        next.into_iter().chain([self.until]).min()
    }

    fn busy(&self) -> bool {
        self.turn.busy() || self.find.as_ref().is_some_and(|find| find.turn.busy())
    }
}
