//! The drain against a hand-written world: every answer of a real API server, pod by pod.

use super::*;
use crate::model::{Node, Owner, Question, Waiting};

const T0: Timestamp = Timestamp::UNIX_EPOCH;

fn at(seconds: u64) -> Timestamp {
    T0 + Duration::from_secs(seconds)
}

fn pod(name: &str, grace: u32) -> Pod {
    let owner = Owner {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        name: "rs".into(),
        controller: true,
    };
    Pod {
        namespace: "ns".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        grace,
        owners: vec![owner],
        ..Pod::default()
    }
}

fn look(pods: Vec<Pod>) -> Look {
    let node = Node { name: "n".into(), unschedulable: true, ready: true, ..Node::default() };
    Look { node: Some(node), pods, ..Look::default() }
}

fn drain(until: u64, force: bool) -> Drain {
    Drain::new("n", Limits { until: at(until), force, grace: None }, T0)
}

/// Verb and grace of what is asked for.
fn asked(work: &[(String, Work)]) -> Vec<(&'static str, u32)> {
    work.iter()
        .map(|(_, work)| match work {
            Work::Cluster(ClusterCall::Evict { grace, .. }) => ("evict", *grace),
            Work::Cluster(ClusterCall::Delete { grace, .. }) => ("delete", *grace),
            _ => ("other", 0),
        })
        .collect()
}

/// Where it stands once the server, asked for a last look, has answered.
fn concluded(drain: &mut Drain, look: &Look, now: Timestamp, answer: Answer) -> Progress {
    if drain
        .poll(look, &|_| false, now)
        .iter()
        .any(|(_, work)| matches!(work, Work::Ask(Question::Empty { node }) if node == "n"))
    {
        drain.answer("", answer, now);
    }
    drain.progress(look, now)
}

#[test]
fn a_pod_is_evicted_once_and_the_drain_waits_for_late_bindings() {
    let mut drain = drain(120, true);
    let full = look(vec![pod("a", 30)]);
    assert_eq!(asked(&drain.poll(&full, &|_| false, T0)), [("evict", 30)]);
    assert_eq!(asked(&drain.poll(&full, &|_| false, at(1))), [], "one request at a time");
    drain.answer("uid-a", Answer::Done, at(1));
    let empty = look(vec![]);
    assert_eq!(concluded(&mut drain, &empty, at(2), Answer::Done), Progress::Working);
    let late = Answer::Refused(Refusal::Busy { retry_after: None, message: "one more".into() });
    assert_eq!(
        concluded(&mut drain, &empty, at(5), late),
        Progress::Working,
        "the caches were behind"
    );
    assert_eq!(
        concluded(&mut drain, &empty, at(5), Answer::Done),
        Progress::Working,
        "not at once again"
    );
    let done = Progress::Done("one pod moved".into());
    assert_eq!(concluded(&mut drain, &empty, at(6), Answer::Done), done);
}

#[test]
fn grace_is_clamped_to_the_deadline_never_lengthened_never_zero() {
    for (spec, until, wanted) in [(30, 120, 30), (600, 60, 60), (0, 60, 1), (5, 1, 1)] {
        let mut drain = drain(until, false);
        assert_eq!(
            asked(&drain.poll(&look(vec![pod("a", spec)]), &|_| false, T0)),
            [("evict", wanted)]
        );
    }
}

#[test]
fn a_refused_eviction_is_asked_again_and_forced_when_its_time_is_up() {
    let mut drain = drain(100, true);
    let full = look(vec![pod("a", 30)]);
    let refusal =
        |retry_after| Answer::Refused(Refusal::Budget { retry_after, message: "budget".into() });
    drain.poll(&full, &|_| false, T0);
    drain.answer("uid-a", refusal(None), T0);
    assert_eq!(asked(&drain.poll(&full, &|_| false, T0)), [], "not in the same instant");
    assert_eq!(asked(&drain.poll(&full, &|_| false, at(1))), [("evict", 30)]);
    drain.answer("uid-a", refusal(Some(10)), at(1));
    assert_eq!(asked(&drain.poll(&full, &|_| false, at(10))), [], "Retry-After is honoured");
    assert_eq!(asked(&drain.poll(&full, &|_| false, at(11))), [("evict", 30)]);
    drain.answer("uid-a", refusal(None), at(12));
    assert_eq!(
        asked(&drain.poll(&full, &|_| false, at(75))),
        [("delete", 25)],
        "past the budget, with what grace is left"
    );
}

#[test]
fn without_leave_to_force_it_fails_and_says_which_pod_and_why() {
    let mut drain = drain(60, false);
    let full = look(vec![pod("a", 30)]);
    drain.poll(&full, &|_| false, T0);
    drain.answer("uid-a", Answer::Refused(Refusal::TwoBudgets("more than one budget".into())), T0);
    assert_eq!(asked(&drain.poll(&full, &|_| false, at(59))), [("evict", 1)]);
    drain.answer(
        "uid-a",
        Answer::Refused(Refusal::TwoBudgets("more than one budget".into())),
        at(59),
    );
    assert_eq!(
        drain.progress(&full, at(60)),
        Progress::Failed("one pod is left: ns/a: more than one budget".into())
    );
}

#[test]
fn one_missing_right_fails_at_once_and_one_bad_pod_does_not() {
    let mut one = drain(60, false);
    let full = look(vec![pod("a", 30), pod("b", 30)]);
    one.poll(&full, &|_| false, T0);
    one.answer("uid-a", Answer::Refused(Refusal::Admission("a webhook said no".into())), T0);
    assert_eq!(one.progress(&full, T0), Progress::Working);
    one.answer(
        "uid-b",
        Answer::Refused(Refusal::Forbidden("needs create on pods/eviction".into())),
        T0,
    );
    assert_eq!(one.progress(&full, T0), Progress::Failed("needs create on pods/eviction".into()));
}

#[test]
fn what_may_not_be_touched_is_left_alone() {
    let mut by_file = pod("static", 30);
    by_file.owners[0] =
        Owner { api_version: "v1".into(), kind: "Node".into(), name: "n".into(), controller: true };
    let mut daemon = pod("daemon", 30);
    daemon.owners[0].kind = "DaemonSet".into();
    let mut ended = pod("ended", 30);
    ended.phase = crate::model::PodPhase::Succeeded;
    let mut mirror = pod("mirror", 30);
    mirror.annotations.insert("kubernetes.io/config.mirror".into(), "x".into());
    let full = look(vec![by_file, daemon, ended, mirror]);
    let mut drain = drain(60, true);
    assert_eq!(asked(&drain.poll(&full, &|_| false, T0)), []);
    assert_eq!(
        concluded(&mut drain, &full, at(5), Answer::Done),
        Progress::Done("0 pods moved".into())
    );
}

#[test]
fn a_terminating_pod_that_would_outlast_the_deadline_is_hurried() {
    let mut drain = drain(60, true);
    let mut slow = pod("a", 600);
    slow.deleted_at = Some(at(600));
    assert_eq!(asked(&drain.poll(&look(vec![slow.clone()]), &|_| false, T0)), [("delete", 60)]);
    drain.answer("uid-a", Answer::Done, T0);
    slow.deleted_at = Some(at(60));
    slow.finalizers = vec!["example.com/hold".into()];
    let full = look(vec![slow]);
    assert_eq!(asked(&drain.poll(&full, &|_| false, at(2))), [], "it ends in time");
    assert_eq!(drain.stuck(at(121)), ["ns/a is terminating, held by example.com/hold"]);
    assert!(drain.stuck(at(122)).is_empty(), "said once");
}

#[test]
fn a_person_or_a_vanished_node_ends_it_cleanly() {
    let mut one = drain(60, true);
    one.poll(&look(vec![pod("a", 30)]), &|_| false, T0);
    let mut open = look(vec![pod("a", 30)]);
    open.node = Some(Node { name: "n".into(), ..Node::default() });
    assert_eq!(one.progress(&open, T0), Progress::Moot("a person uncordoned the node".into()));
    assert_eq!(
        drain(60, true).progress(&Look::default(), T0),
        Progress::Moot("the node is gone".into())
    );
}

#[test]
fn another_pod_of_the_same_name_is_another_pod() {
    let mut drain = drain(60, true);
    let first = look(vec![pod("a", 30)]);
    drain.poll(&first, &|_| false, T0);
    drain.answer("uid-a", Answer::Refused(Refusal::Changed("uid".into())), T0);
    let mut second = pod("a", 30);
    second.uid = "uid-new".into();
    assert_eq!(asked(&drain.poll(&look(vec![second]), &|_| false, at(1))), [("evict", 30)]);
}

#[test]
fn a_replacement_that_becomes_ready_is_a_reason_to_ask_at_once() {
    let mut drain = drain(100, true);
    let full = |waiting: usize| Look {
        waiting: pod("a", 1)
            .controller()
            .map(|of| (of, Waiting { count: waiting, names: vec![], why: None }))
            .into_iter()
            .collect(),
        ..look(vec![pod("a", 30)])
    };
    drain.poll(&full(0), &|_| false, T0);
    let refusal = Refusal::Budget { retry_after: Some(30), message: "budget".into() };
    drain.answer("uid-a", Answer::Refused(refusal), T0);
    assert_eq!(asked(&drain.poll(&full(1), &|_| false, at(1))), []);
    assert_eq!(asked(&drain.poll(&full(0), &|_| false, at(2))), [("evict", 30)]);
}

#[test]
fn on_a_silent_node_nobody_waits_for_pods_that_nobody_ends() {
    let mut drain = drain(100, false);
    let mut told = pod("a", 5);
    drain.poll(&look(vec![told.clone()]), &|_| false, T0);
    told.deleted_at = Some(at(5));
    let mut silent = look(vec![told]);
    assert_eq!(drain.progress(&silent, at(6)), Progress::Working);
    silent.node.as_mut().unwrap().ready = false;
    assert_eq!(
        concluded(&mut drain, &silent, at(6), Answer::Done),
        Progress::Done("one pod moved".into())
    );
}

#[test]
fn volumes_are_let_go_of_first_and_our_own_pod_goes_last() {
    let mut drain = drain(100, true);
    let mut own = pod("own", 5);
    own.own = true;
    assert_eq!(drain.poll(&look(vec![own.clone(), pod("a", 5)]), &|_| false, T0).len(), 1);
    assert_eq!(drain.poll(&look(vec![own]), &|_| false, at(1))[0].0, "uid-own");
    let mut empty = look(vec![]);
    empty.node.as_mut().unwrap().volumes_attached = vec!["vol-1".into()];
    assert_eq!(concluded(&mut drain, &empty, at(6), Answer::Done), Progress::Working);
    let done = concluded(&mut drain, &empty, at(17), Answer::Done);
    assert!(matches!(done, Progress::Done(_)), "but not for ever");
}

#[test]
fn what_an_owner_keeps_stays_in_a_planned_drain_and_goes_before_a_deadline() {
    let mut kept = pod("a", 5);
    kept.local_volumes = vec!["tmp".into(), "scratch".into()];
    let volumes = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
    kept.annotations.insert(volumes.into(), "tmp".into());
    let full = look(vec![kept.clone()]);
    let mut planned = drain(60, false);
    assert_eq!(asked(&planned.poll(&full, &|_| false, T0)), []);
    let Progress::Failed(why) = planned.progress(&full, at(60)) else { panic!() };
    assert!(why.contains("`scratch`"), "{why}");
    assert_eq!(asked(&drain(60, true).poll(&full, &|_| false, T0)), [("evict", 5)]);
    kept.annotations.insert(volumes.into(), "tmp, scratch".into());
    assert_eq!(asked(&drain(60, false).poll(&look(vec![kept]), &|_| false, T0)), [("evict", 5)]);
}
