//! Every history of a small plan: whatever fails and wherever the daemon dies, it ends, and nothing is done twice.

use super::super::fixture::{self, gang, step};
use super::*;
use crate::model::{ClusterCall, Node, Refusal, Span};

const T0: Timestamp = Timestamp::UNIX_EPOCH;

fn plan() -> Plan {
    let http = Action::Http {
        method: "POST".into(),
        url: "http://h/".into(),
        body: None,
        timeout: Span::seconds(1),
        idempotent: false,
    };
    let escalate = Action::Escalate { policy: "p".into(), level: 1 };
    let plan = fixture::plan(vec![
        step("cordon", Action::Cordon { taint: None, autoscalers: false }, &[]),
        step("label", Action::Label { key: "k".into(), value: Some("v".into()) }, &["cordon"]),
        step("tell", http, &["label"]),
    ]);
    Plan { otherwise: vec![step("otherwise-escalate", escalate, &[])], ..plan }
}

/// One whose gang is suspended, and resumed before the last step.
fn suspends() -> Plan {
    let mut plan = plan();
    plan.steps[1] = step("suspend", Action::Suspend, &["cordon"]);
    plan.steps.insert(2, step("resume", Action::Resume, &["suspend"]));
    plan.steps[3].needs = vec!["suspend".into()];
    Plan { gangs: vec![gang("llm")], ..plan }
}

/// A node, and what was done to it.
#[derive(Default, Clone)]
struct World {
    node: Node,
    calls: Vec<String>,
    http_fails: bool,
    undo_fails: bool,
    /// A job that somebody suspends is not let run again.
    stays_suspended: bool,
    suspended: bool,
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
            Work::Cluster(ClusterCall::Suspend { suspended, .. }) => {
                if !suspended && self.stays_suspended {
                    return refused("denied");
                }
                self.calls.push(format!("suspend {suspended}"));
                self.suspended = *suspended;
                Answer::Done
            }
            Work::Cluster(_) | Work::Ask(_) => refused("unexpected"),
        }
    }
}

fn run(world: &mut World, die_after: Option<(u64, bool)>) -> Vec<Entry> {
    carry_out(&plan(), world, die_after)
}

/// Runs to the end, dying once: after so many journal lines, before or after the calls that follow.
fn carry_out(plan: &Plan, world: &mut World, die_after: Option<(u64, bool)>) -> Vec<Entry> {
    let (mut lines, mut died) = (vec![], false);
    let mut saga = Saga::new(plan.clone(), Journal::new(plan));
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
            let mut journal = Journal::new(plan);
            lines.iter().for_each(|line| journal.take(line).unwrap());
            saga = Saga::new(plan.clone(), journal);
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

/// Fifty turns; before the twentieth, while a step waits, something happens.
fn interrupted(plan: &Plan, world: &mut World, happens: impl Fn(&mut Saga, &World)) -> Vec<Entry> {
    let mut saga = Saga::new(plan.clone(), Journal::new(plan));
    let mut lines = vec![];
    for turn in 0..50 {
        let now = T0 + std::time::Duration::from_secs(turn);
        if turn == 20 {
            happens(&mut saga, world);
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
    lines
}

fn an_hour() -> Action {
    Action::Wait { time: Span::seconds(3600) }
}

/// A person closes the incident: what was done is undone, and nobody is called.
#[test]
fn a_resolution_by_a_person_ends_it_cleanly() {
    let mut world = World::default();
    let mut plan = plan();
    plan.steps[2] = step("wait", an_hour(), &["label"]);
    let lines = interrupted(&plan, &mut world, |saga, _| saga.resolved("ana"));
    assert_eq!(ended(&lines), PlanEnd::Moot { why: "ana resolved the incident".into() });
    assert!(!world.node.unschedulable && world.node.labels.is_empty());
    assert!(!lines.iter().any(|line| matches!(line, Entry::Escalate { .. })));
}

/// Whatever comes of the plan and wherever it dies, a job that it has suspended runs in the end.
#[test]
fn what_was_suspended_never_stays_so() {
    for http_fails in [false, true] {
        for line in 1..20 {
            for calls_first in [false, true] {
                let mut world = World { http_fails, ..World::default() };
                let lines = carry_out(&suspends(), &mut world, Some((line, calls_first)));
                assert!(!world.suspended, "line {line}: {:?} {lines:#?}", world.calls);
                assert!(world.calls.contains(&"suspend true".to_owned()), "line {line}");
            }
        }
    }
}

/// Also of a doomed node, and where a newer plan takes over: nothing else is undone then.
#[test]
fn a_newer_plan_finds_nothing_suspended() {
    let mut plan = Plan { doomed: true, ..suspends() };
    plan.steps[2] = step("wait", an_hour(), &["suspend"]);
    plan.steps[3].needs = vec!["wait".into()];
    let mut world = World::default();
    let lines = interrupted(&plan, &mut world, |saga, world| {
        assert!(world.suspended);
        saga.superseded(Id::of(&["next"]));
    });
    assert!(matches!(ended(&lines), PlanEnd::Superseded { .. }), "{lines:#?}");
    assert!(!world.suspended && world.node.unschedulable, "{:?}", world.calls);
}

#[test]
fn a_job_that_stays_suspended_is_a_persons_matter() {
    let mut world = World { stays_suspended: true, ..World::default() };
    let lines = carry_out(&suspends(), &mut world, None);
    let how = ended(&lines);
    assert!(matches!(&how, PlanEnd::Stuck { step, .. } if step == "suspend"), "{how:?}");
    let told = lines.iter().filter_map(|line| match line {
        Entry::Escalate { why, .. } => Some(why.as_str()),
        _ => None,
    });
    let told: Vec<&str> = told.collect();
    assert!(told[0].contains("training/Job/llm is still suspended: denied"), "{told:?}");
}

/// Also where the rule forgot to say so.
#[test]
fn a_plan_that_does_what_it_was_to_do_leaves_nothing_suspended() {
    let mut plan = suspends();
    plan.steps.remove(2);
    let mut world = World::default();
    let lines = carry_out(&plan, &mut world, None);
    assert_eq!(ended(&lines), PlanEnd::Succeeded);
    assert!(!world.suspended && world.node.unschedulable, "{:?}", world.calls);
}

#[test]
fn who_looked_in_vain_calls_a_person_and_machines_are_asked_for_all_the_same() {
    let provision = Action::Provision { ladders: vec![], within: Span::seconds(1800) };
    let verify = Action::Verify {
        expect: crate::model::Expect::NodeReady,
        hold: Span::default(),
        within: Span::seconds(60),
    };
    let escalate = Action::Escalate { policy: "p".into(), level: 1 };
    let rung = crate::model::PlannedRung {
        source: crate::model::Source::Group {
            group: crate::model::Group::Named { name: "g".into() },
        },
        machines: 1,
        within: Span::seconds(600),
    };
    let capacity = crate::model::PlannedCapacity {
        ladder: "l".into(),
        bearing: Default::default(),
        zone: "a".into(),
        pods: vec![],
        rungs: vec![rung],
    };
    let plan = fixture::plan(vec![step("provision", provision, &[]), step("verify", verify, &[])]);
    let otherwise = vec![step("otherwise-escalate", escalate, &[])];
    let plan = Plan { capacity: vec![capacity], otherwise, ..plan };
    let mut saga = Saga::new(plan.clone(), Journal::new(&plan));
    let look = Look { node: Some(Node::default()), ..Look::default() };
    let (mut lines, mut asked) = (vec![], vec![]);
    for minute in 0..40_i64 {
        let now = T0 + Duration::from_secs(60 * minute.unsigned_abs());
        loop {
            let entries = saga.advance(&look, now);
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                saga.recorded(&entry, &look, now).unwrap();
                lines.push((minute, entry));
            }
        }
        for call in saga.calls(&look, now) {
            let busy = Refusal::Busy { retry_after: None, message: "none".into() };
            let asks = matches!(call.work, Work::Cloud(crate::model::CloudCall::Provision(_)));
            saga.answer(&call, if asks { Answer::Refused(busy) } else { Answer::Done }, now);
            asked.extend(asks.then_some(minute));
        }
    }
    let at = |wanted: &dyn Fn(&Entry) -> bool| {
        lines.iter().find(|(_, entry)| wanted(entry)).map(|(minute, _)| *minute).unwrap()
    };
    assert_eq!(at(&|entry| matches!(entry, Entry::Escalate { .. })), 1);
    assert!(asked.contains(&20), "the machine is asked for: {asked:?}");
    let over = |entry: &Entry| matches!(entry, Entry::Ended { how: PlanEnd::Failed { .. } });
    assert!((30..40).contains(&at(&over)), "{lines:#?}");
}
