//! EBS snapshots: taken by EC2 at the moment of the request, each once, by its tag; waited for only where that is asked.

use super::super::super::saga::Work;
use super::super::Status;
use super::Asking;
use super::find::Find;
use super::turn::{Turn, Weighed};
use crate::model::{Answer, CloudCall, Id, Plan, Snapshot, Standing};
use jiff::Timestamp;

#[derive(Debug)]
enum Stage {
    Take,
    Watch(String),
    Over(Result<String, String>),
}

#[derive(Debug)]
struct One {
    volume: String,
    stage: Stage,
    turn: Turn,
    last: String,
}

#[derive(Debug)]
pub(super) struct Snapshots {
    wait: bool,
    key: Id,
    tags: Vec<(String, String)>,
    find: Find,
    all: Vec<One>,
    failed: Option<String>,
    until: Timestamp,
}

impl Snapshots {
    pub(super) fn new(
        plan: &Plan,
        key: &Id,
        of: &Snapshot,
        until: Timestamp,
        now: Timestamp,
    ) -> Snapshots {
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Snapshots {
            wait: of.wait,
            key: key.clone(),
            tags: vec![
                tag("medevac.dev/incident", &plan.incident),
                tag("medevac.dev/rule", &plan.rule),
            ],
            find: Find::new(&of.sought, now),
            all: vec![],
            failed: None,
            until,
        }
    }

    fn settle(&mut self, now: Timestamp) {
        if !self.all.is_empty() || self.failed.is_some() {
            return;
        }
        let Some(found) = self.find.found() else { return };
        let volumes = found.and_then(|all| {
            let volume = |of: &crate::model::Protected| {
                let id = of.volume().map(str::to_owned);
                id.ok_or_else(|| format!("{of} is no volume: EC2 makes snapshots of volumes alone"))
            };
            all.iter().map(volume).collect::<Result<Vec<_>, _>>()
        });
        match volumes {
            Ok(volumes) => {
                let one = |volume| One {
                    volume,
                    stage: Stage::Take,
                    turn: Turn::new(now),
                    last: "not taken".into(),
                };
                self.all = volumes.into_iter().map(one).collect();
            }
            Err(why) => self.failed = Some(why),
        }
    }
}

impl One {
    fn answer(&mut self, answer: Answer, wait: bool, now: Timestamp) {
        let weighed = self.turn.weigh(answer, now);
        let standing: Standing = match weighed {
            Weighed::Again(why) => return self.last = why,
            Weighed::Said(said) => serde_json::from_str(&said).unwrap_or_default(),
            Weighed::Gone => {
                return self.stage = Stage::Over(Err("the volume or its snapshot is gone".into()));
            }
            Weighed::Never(why) | Weighed::Changed(why) => {
                return self.stage = Stage::Over(Err(why));
            }
        };
        let Standing { id, state, message, .. } = standing;
        self.stage = match state.as_str() {
            "error" => Stage::Over(Err(format!("{id} has failed: {message}"))),
            // "recoverable" and "recovering" lie in the recycle bin.
            "pending" if wait => {
                self.last = format!("{id} is pending, {message}");
                if matches!(self.stage, Stage::Take) {
                    self.turn.on(now);
                }
                self.turn.later(now);
                Stage::Watch(id)
            }
            "pending" | "completed" => Stage::Over(Ok(format!("{id} of {}", self.volume))),
            other => Stage::Over(Err(format!("{id} is {other}"))),
        };
    }

    fn open(&self) -> bool {
        !matches!(self.stage, Stage::Over(_))
    }
}

const FIND: &str = "find";

impl Asking for Snapshots {
    fn poll(&mut self, now: Timestamp) -> Vec<(String, Work)> {
        self.settle(now);
        if self.all.is_empty() {
            return self.find.poll(now).map(|work| (FIND.to_owned(), work)).into_iter().collect();
        }
        let (key, tags) = (&self.key, &self.tags);
        let mut work = vec![];
        for (at, one) in self.all.iter_mut().enumerate() {
            let call = match &one.stage {
                Stage::Take => CloudCall::TakeSnapshot {
                    volume: one.volume.clone(),
                    key: key.as_str().to_owned(),
                    tags: tags.clone(),
                },
                Stage::Watch(id) => CloudCall::SnapshotState { id: id.clone() },
                Stage::Over(_) => continue,
            };
            if one.turn.take(now) {
                work.push((at.to_string(), Work::Cloud(call)));
            }
        }
        work
    }

    fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        if tag == FIND {
            self.find.answer(answer, now);
        } else if let Some(one) = tag.parse().ok().and_then(|at: usize| self.all.get_mut(at)) {
            one.answer(answer, self.wait, now);
        }
    }

    fn status(&self, now: Timestamp) -> Status {
        if let Some(why) = self.failed.clone().or_else(|| self.find.found()?.err()) {
            return Status::Failed(why);
        }
        if let Some(open) = self.all.iter().find(|one| one.open()) {
            let late = now >= self.until;
            let why = format!("not done in time: {}: {}", open.volume, open.last);
            return if late { Status::Failed(why) } else { Status::Working };
        }
        if self.all.is_empty() {
            let why = format!("it was not begun in time: {}", self.find.last);
            return if now >= self.until { Status::Failed(why) } else { Status::Working };
        }
        let (mut good, mut bad) = (vec![], vec![]);
        for one in &self.all {
            match &one.stage {
                Stage::Over(Ok(how)) => good.push(how.clone()),
                Stage::Over(Err(why)) => bad.push(format!("{}: {why}", one.volume)),
                _ => {}
            }
        }
        if bad.is_empty() { Status::Done(good.join("; ")) } else { Status::Failed(bad.join("; ")) }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let finding = self.all.is_empty().then(|| self.find.turn.wake_at()).flatten();
        let open = self.all.iter().filter(|one| one.open());
        open.filter_map(|one| one.turn.wake_at()).chain(finding).chain([self.until]).min()
    }

    fn busy(&self) -> bool {
        self.find.turn.busy() || self.all.iter().any(|one| one.turn.busy())
    }
}
