//! What a rung has brought, given back: what has not come is called off, and of what has, those machines are ended that
//! nothing runs on.

use super::super::super::saga::Work;
use super::super::turn::{Turn, Weighed};
use super::PLACE;
use crate::model::{
    Answer, CloudCall, ClusterCall, Granted, Joined, Order, Question, Resource, Source,
};
use jiff::Timestamp;

#[derive(Debug)]
enum Stage {
    /// Calls off what has not come, and hears what has.
    CallOff,
    /// Is anything on these?
    Look(Vec<String>),
    End(Vec<String>),
    Over(Result<String, String>),
}

#[derive(Debug)]
pub(super) struct Spare {
    order: Order,
    stage: Stage,
    turn: Turn,
    pub(super) last: String,
}

impl Spare {
    pub(super) fn new(order: Order, now: Timestamp) -> Spare {
        let last = "nobody has answered yet".into();
        Spare { order, stage: Stage::CallOff, turn: Turn::new(now), last }
    }

    pub(super) fn holds_places(&self) -> bool {
        matches!(self.order.source, Source::Placeholders(_))
    }

    pub(super) fn poll(&mut self, now: Timestamp) -> Option<Work> {
        let give_back = |machines: Vec<String>| {
            Work::Cloud(CloudCall::GiveBack { order: self.order.clone(), machines })
        };
        let work = match (&self.stage, &self.order.source) {
            (Stage::CallOff, Source::Placeholders(of)) => Work::Cluster(ClusterCall::Unmake {
                what: Resource::POD,
                namespace: of.namespace.clone(),
                labels: format!("{PLACE}={}", self.order.key),
            }),
            (Stage::CallOff, _) => give_back(vec![]),
            (Stage::Look(machines), _) => {
                Work::Ask(Question::Machines { machines: machines.clone() })
            }
            (Stage::End(machines), _) => give_back(machines.clone()),
            (Stage::Over(_), _) => return None,
        };
        self.turn.take(now).then_some(work)
    }

    pub(super) fn answer(&mut self, answer: Answer, now: Timestamp) {
        let said = match self.turn.weigh(answer, now) {
            Weighed::Said(said) => said,
            // A group that is gone has nothing of ours.
            Weighed::Gone => String::new(),
            Weighed::Again(why) => return self.last = why,
            Weighed::Never(why) | Weighed::Changed(why) => {
                return self.stage = Stage::Over(Err(why));
            }
        };
        self.turn.on(now);
        let places = self.holds_places();
        self.stage = match std::mem::replace(&mut self.stage, Stage::CallOff) {
            Stage::CallOff if places => Stage::Over(Ok("no place is held any more".into())),
            Stage::CallOff => {
                let granted: Granted = serde_json::from_str(&said).unwrap_or_default();
                match granted.machines.is_empty() {
                    true => Stage::Over(Ok("nothing is left of it".into())),
                    false => Stage::Look(granted.machines),
                }
            }
            Stage::Look(machines) => {
                let known: Vec<Joined> = serde_json::from_str(&said).unwrap_or_default();
                let used =
                    |machine: &String| known.iter().any(|it| it.machine == *machine && it.pods > 0);
                let spare: Vec<String> =
                    machines.into_iter().filter(|machine| !used(machine)).collect();
                match spare.is_empty() {
                    true => Stage::Over(Ok("all of it is in use".into())),
                    false => Stage::End(spare),
                }
            }
            Stage::End(machines) => Stage::Over(Ok(format!("given back: {}", machines.join(", ")))),
            over @ Stage::Over(_) => over,
        };
    }

    pub(super) fn over(&self) -> Option<&Result<String, String>> {
        match &self.stage {
            Stage::Over(how) => Some(how),
            _ => None,
        }
    }

    pub(super) fn busy(&self) -> bool {
        self.turn.busy()
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.over().is_none().then(|| self.turn.wake_at()).flatten()
    }
}
