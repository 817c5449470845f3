//! What counts as running: all of it, also what has not been made yet.

use super::super::super::fixture::{gang, plan};
use super::*;
use crate::model::{Owner, Pod, WorkloadKind};
use std::sync::Arc;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn rank(at: u32, ready: bool) -> Arc<Pod> {
    let owner = Owner {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        name: "llm".into(),
        controller: true,
    };
    let index = ("batch.kubernetes.io/job-completion-index".to_owned(), at.to_string());
    Arc::new(Pod {
        namespace: "training".into(),
        name: format!("llm-{at}"),
        uid: format!("uid-{at}"),
        labels: [index].into(),
        owners: vec![owner],
        ready,
        ..Pod::default()
    })
}

/// What it comes to when the time is up.
fn at_last(verify: &mut Verify, look: &Look) -> Status {
    verify.status(look, false, NOW + Duration::from_secs(600))
}

fn verify(plan: &Plan) -> Verify {
    let until = NOW + Duration::from_secs(600);
    Verify::new(Expect::PodsRunning, Duration::ZERO, until, plan)
}

#[test]
fn ranks_that_nobody_has_made_yet_are_missed() {
    let plan = Plan { gangs: vec![PlannedGang { ranks: 2, ..gang("llm") }], ..plan(vec![]) };
    let with = |peers: Vec<Arc<Pod>>| Look { peers, ..Look::default() };
    let mut machine = verify(&plan);
    for look in [with(vec![]), with(vec![rank(0, true)]), with(vec![rank(0, true), rank(1, false)])]
    {
        assert_eq!(machine.status(&look, false, NOW), Status::Working);
    }
    let why = "not running yet: 1 of 2 ranks of training/Job/llm run";
    assert_eq!(at_last(&mut machine, &with(vec![rank(0, true)])), Status::Failed(why.into()));
    let all = with(vec![rank(0, true), rank(1, true)]);
    assert_eq!(machine.status(&all, false, NOW), Status::Done("all pods are running".into()));
}

#[test]
fn a_workload_that_was_sent_elsewhere_has_all_its_replicas() {
    let of = |ready| Workload {
        kind: WorkloadKind::Deployment,
        namespace: "ns".into(),
        name: "api".into(),
        labels: Default::default(),
        annotations: Default::default(),
        template_annotations: Default::default(),
        replicas: 3,
        ready,
        updated: 0,
    };
    let look = |ready| Look { moved: vec![of(ready)], ..Look::default() };
    let mut machine = verify(&plan(vec![]));
    let why = "not running yet: 2 of 3 pods of deployment/ns/api run";
    assert_eq!(at_last(&mut machine, &look(2)), Status::Failed(why.into()));
    assert!(matches!(machine.status(&look(3), false, NOW), Status::Done(_)));
}

#[test]
fn what_waits_for_a_node_is_told_with_what_the_scheduler_says() {
    let plan = Plan { movers: vec!["ns/ReplicaSet/api".into()], ..plan(vec![]) };
    let why = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {a: b}.";
    let waiting = Waiting { count: 1, names: vec!["ns/api-1".into()], why: Some(why.into()) };
    let look =
        Look { waiting: [("ns/ReplicaSet/api".to_owned(), waiting)].into(), ..Look::default() };
    let Status::Failed(why) = at_last(&mut verify(&plan), &look) else { panic!() };
    assert_eq!(
        why,
        "not running yet: ns/api-1; nodes that do not take them: 1: insufficient (nvidia.com/gpu), 2: taint (a: b)"
    );
}
