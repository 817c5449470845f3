//! Every history of a small plan: whatever fails and wherever the daemon dies, it ends, and nothing is done twice.

use super::*;
use crate::model::{ClusterCall, Mode, Node, Reach, Refusal, Span, Target};

const T0: Timestamp = Timestamp::UNIX_EPOCH;
const NODE: &str = "n";

fn step(name: &str, action: Action, needs: &[&str]) -> PlannedStep {
    let reach = if action.writes() && !matches!(action, Action::Http { .. }) {
        Reach::Node { name: NODE.into() }
    } else {
        Reach::World
    };
    let no_return = action.destructive();
    let needs = needs.iter().map(|need| (*need).to_owned()).collect();
    PlannedStep { name: name.into(), key: Id::of(&[name]), action, reach, needs, no_return }
}

fn plan() -> Plan {
    let http = Action::Http {
        method: "POST".into(),
        url: "http://h/".into(),
        body: None,
        timeout: Span::seconds(1),
        idempotent: false,
    };
    let escalate = Action::Escalate { policy: "p".into(), level: 1 };
    Plan {
        id: Id::of(&["plan"]),
        incident: "inc-1".into(),
        epoch: 1,
        rule: "r".into(),
        target: Target::Node(NODE.into()),
        mode: Mode::Enforce,
        deadline: None,
        reserve: Span::default(),
        steps: vec![
            step("cordon", Action::Cordon { taint: None, autoscalers: false }, &[]),
            step("label", Action::Label { key: "k".into(), value: Some("v".into()) }, &["cordon"]),
            step("tell", http, &["label"]),
        ],
        otherwise: vec![step("otherwise-escalate", escalate, &[])],
        doomed: false,
        policy: Some("p".into()),
        made_at: T0,
        caused_at: T0,
        movers: vec![],
        gangs: vec![],
        boot_id: String::new(),
        checkpoints: vec![],
        pods: vec![],
        remarks: vec![],
    }
}

/// A node, and what was done to it.
#[derive(Default, Clone)]
struct World {
    node: Node,
    calls: Vec<String>,
    http_fails: bool,
    undo_fails: bool,
}

impl World {
    fn look(&self) -> Look {
        Look { node: Some(self.node.clone()), ..Look::default() }
    }

    fn call(&mut self, work: &Work) -> Answer {
        let refused = |why: &str| Answer::Refused(Refusal::Invalid(why.into()));
        match work {
            Work::Cloud(_) => {
                self.calls.push("cloud".into());
                Answer::Done
            }
            Work::Web(_) => {
                self.calls.push("http".into());
                if self.http_fails { refused("500") } else { Answer::Done }
            }
            Work::Cluster(ClusterCall::PatchNode { patch, .. }) => {
                if self.undo_fails && patch.unschedulable == Some(false) {
                    return refused("locked");
                }
                self.calls.push(format!("patch {:?}", patch.unschedulable));
                self.node.unschedulable = patch.unschedulable.unwrap_or(self.node.unschedulable);
                for (key, value) in &patch.annotations {
                    match value {
                        Some(value) => self.node.annotations.insert(key.clone(), value.clone()),
                        None => self.node.annotations.remove(key),
                    };
                }
                for (key, value) in &patch.labels {
                    match value {
                        Some(value) => self.node.labels.insert(key.clone(), value.clone()),
                        None => self.node.labels.remove(key),
                    };
                }
                Answer::Done
            }
            Work::Cluster(_) | Work::Confirm(_) => refused("unexpected"),
        }
    }
}

/// Runs to the end, dying once: after so many journal lines, before or after the calls that follow.
fn run(world: &mut World, die_after: Option<(u64, bool)>) -> Vec<Entry> {
    let (mut lines, mut died) = (vec![], false);
    let mut saga = Saga::new(plan(), Journal::new(&plan()));
    for turn in 0..200 {
        let now = T0 + std::time::Duration::from_secs(turn);
        let look = world.look();
        let entries = saga.advance(&look, now);
        for entry in &entries {
            saga.recorded(entry, &look, now).unwrap();
            lines.push(entry.clone());
        }
        let due = die_after.is_some_and(|(line, _)| lines.len() as u64 >= line) && !died;
        let calls_first = die_after.is_some_and(|(_, after)| after);
        if saga.journal.ended.is_some() {
            return lines;
        }
        if !due || calls_first {
            for call in saga.calls(&look, now) {
                let answer = world.call(&call.work);
                if !due {
                    saga.answer(&call, answer, now);
                }
            }
        }
        if due {
            died = true;
            let mut journal = Journal::new(&plan());
            lines.iter().for_each(|line| journal.take(line).unwrap());
            saga = Saga::new(plan(), journal);
        }
    }
    panic!("it does not end: {lines:#?}");
}

fn ended(lines: &[Entry]) -> PlanEnd {
    match lines.last() {
        Some(Entry::Ended { how }) => how.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_goes_well() {
    let mut world = World::default();
    assert_eq!(ended(&run(&mut world, None)), PlanEnd::Succeeded);
    assert!(world.node.unschedulable && world.node.labels.contains_key("k"));
}

#[test]
fn a_failure_climbs_at_once_and_is_undone_in_reverse() {
    let mut world = World { http_fails: true, ..World::default() };
    let lines = run(&mut world, None);
    assert!(matches!(ended(&lines), PlanEnd::Failed { step, .. } if step == "tell"));
    assert!(!world.node.unschedulable && world.node.annotations.is_empty());
    assert!(world.node.labels.is_empty(), "labels too: {:?}", world.node.labels);
    let told = lines.iter().position(|line| matches!(line, Entry::Escalate { .. })).unwrap();
    let undone = lines.iter().position(|line| matches!(line, Entry::UndoStarted { .. })).unwrap();
    assert!(told < undone, "a person hears of it first");
}

#[test]
fn a_failed_undo_is_stuck_and_says_so() {
    let mut world = World { http_fails: true, undo_fails: true, ..World::default() };
    let lines = run(&mut world, None);
    assert!(matches!(ended(&lines), PlanEnd::Stuck { .. }));
    let calls = lines.iter().filter(|line| matches!(line, Entry::Escalate { .. })).count();
    assert_eq!(calls, 2, "once for the failure, once for being stuck");
}

#[test]
fn a_persons_cordon_stays() {
    let mut world = World { http_fails: true, ..World::default() };
    world.node.unschedulable = true;
    world.node.labels.insert("k".into(), "before".into());
    run(&mut world, None);
    assert!(world.node.unschedulable, "{:?}", world.calls);
    assert_eq!(world.node.labels["k"], "before", "what was there before is put back");
}

/// Killed after every line, before and after the calls that follow it.
#[test]
fn wherever_it_dies_it_ends_and_no_call_that_may_not_repeat_is_repeated() {
    for http_fails in [false, true] {
        for line in 1..16 {
            for calls_first in [false, true] {
                let mut world = World { http_fails, ..World::default() };
                let lines = run(&mut world, Some((line, calls_first)));
                let http = world.calls.iter().filter(|call| *call == "http").count();
                assert!(http <= 1, "line {line}: {:?}", world.calls);
                let told =
                    lines.iter().filter(|line| matches!(line, Entry::Escalate { .. })).count();
                assert!(told <= 1, "line {line}");
                let well = matches!(ended(&lines), PlanEnd::Succeeded);
                let clean =
                    well == world.node.unschedulable && well == world.node.labels.contains_key("k");
                assert!(clean, "line {line}: {:?} {:?}", ended(&lines), world.node);
            }
        }
    }
}

/// While a step waits, a person closes the incident: what was done is undone, and nobody is called.
#[test]
fn a_resolution_by_a_person_ends_it_cleanly() {
    let mut world = World::default();
    let mut plan = plan();
    plan.steps[2] = step("wait", Action::Wait { time: Span::seconds(3600) }, &["label"]);
    let mut saga = Saga::new(plan.clone(), Journal::new(&plan));
    let mut lines = vec![];
    for turn in 0..50 {
        let now = T0 + std::time::Duration::from_secs(turn);
        if turn == 20 {
            saga.resolved("ana");
        }
        let look = world.look();
        for entry in saga.advance(&look, now) {
            saga.recorded(&entry, &look, now).unwrap();
            lines.push(entry);
        }
        for call in saga.calls(&look, now) {
            let answer = world.call(&call.work);
            saga.answer(&call, answer, now);
        }
    }
    assert_eq!(ended(&lines), PlanEnd::Moot { why: "ana resolved the incident".into() });
    assert!(!world.node.unschedulable && world.node.labels.is_empty());
    assert!(!lines.iter().any(|line| matches!(line, Entry::Escalate { .. })));
}
