//! What the tests of this room start from.

use crate::model::{Action, Id, Job, Mode, Plan, PlannedGang, PlannedStep, Reach, Span, Target};
use jiff::Timestamp;

pub(super) const NODE: &str = "n";

/// A plan for the node, without a deadline, made at the beginning of time.
pub(super) fn plan(steps: Vec<PlannedStep>) -> Plan {
    Plan {
        id: Id::of(&["plan"]),
        incident: "inc-1".into(),
        epoch: 1,
        rule: "r".into(),
        target: Target::Node(NODE.into()),
        mode: Mode::Enforce,
        deadline: None,
        reserve: Span::default(),
        steps,
        otherwise: vec![],
        doomed: false,
        policy: Some("p".into()),
        made_at: Timestamp::UNIX_EPOCH,
        caused_at: Timestamp::UNIX_EPOCH,
        movers: vec![],
        gangs: vec![],
        capacity: vec![],
        moves: vec![],
        brought: vec![],
        boot_id: String::new(),
        checkpoints: vec![],
        pods: vec![],
        remarks: vec![],
    }
}

pub(super) fn step(name: &str, action: Action, needs: &[&str]) -> PlannedStep {
    let reach = match action.writes() && !matches!(action, Action::Http { .. }) {
        true => Reach::Node { name: NODE.into() },
        false => Reach::World,
    };
    let no_return = action.destructive();
    let needs = needs.iter().map(|need| (*need).to_owned()).collect();
    PlannedStep { name: name.into(), key: Id::of(&[name]), action, reach, needs, no_return }
}

/// The gang of an indexed Job.
pub(super) fn gang(name: &str) -> PlannedGang {
    let job = Job {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        namespace: "training".into(),
        name: name.into(),
    };
    PlannedGang { unit: format!("training/Job/{name}"), job, ranks: 0 }
}
