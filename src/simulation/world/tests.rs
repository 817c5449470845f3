use super::*;
use crate::cluster::Sight;
use crate::model::{Answer, ClusterCall, Refusal, Target};

fn at(millis: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_millis(millis)
}

fn pool(name: &str, nodes: u32) -> Pool {
    Pool { name: name.into(), nodes, zones: vec!["z".into()], slots: 4, ..Pool::default() }
}

fn app(name: &str, kind: Kind, replicas: u32, budget: Budget) -> App {
    App {
        namespace: "ns".into(),
        name: name.into(),
        kind,
        replicas,
        pools: vec!["p".into()],
        budgets: vec![budget],
        grace: 30,
        starts_in: Duration::from_secs(1),
        stops_in: Duration::from_secs(5),
        ..App::default()
    }
}

fn evict(pod: &Pod, grace: u32) -> ClusterCall {
    let Pod { namespace, name, uid, .. } = pod.clone();
    ClusterCall::Evict { namespace, name, uid, grace }
}

#[test]
fn an_evicted_pod_runs_again_elsewhere_and_a_budget_holds() {
    let mut world = World::new(at(0));
    world.add_pool(pool("p", 2));
    world.add_app(app("app", Kind::Deployment, 2, Budget::MinAvailable(2)));
    world.pass(at(2000));
    assert_eq!(world.health(), (2, 2));
    let pods = world.look(&Sight::of(&Target::Node("p-1".into()))).pods;
    assert_eq!(pods.len(), 1, "they are spread");
    assert!(matches!(world.call(&evict(&pods[0], 30)), Answer::Refused(Refusal::Budget { .. })));
    world.apps[0].spec.budgets = vec![Budget::MaxUnavailable(1)];
    assert_eq!(world.call(&evict(&pods[0], 30)), Answer::Done);
    world.pass(at(10_000));
    assert_eq!((world.health(), world.sums.hard_killed), ((2, 2), 0));
    assert!(matches!(world.call(&evict(&pods[0], 30)), Answer::Refused(Refusal::Gone)));
}

#[test]
fn a_stateful_pod_keeps_its_name_and_not_its_uid() {
    let mut world = World::new(at(0));
    world.add_pool(pool("p", 2));
    world.add_app(app("db", Kind::StatefulSet, 1, Budget::MinAvailable(0)));
    world.pass(at(2000));
    let first = world.pod("ns", "db-0").unwrap().clone();
    assert_eq!(world.call(&evict(&first, 30)), Answer::Done);
    world.pass(at(20_000));
    let second = world.pod("ns", "db-0").unwrap().clone();
    assert_ne!(first.uid, second.uid);
    assert!(matches!(world.call(&evict(&first, 30)), Answer::Refused(Refusal::Changed(_))));
    assert_eq!(world.call(&evict(&second, 1)), Answer::Done);
    world.pass(at(40_000));
    assert_eq!(world.sums.hard_killed, 1, "one second is less than the five that it takes");
}

#[test]
fn a_pool_grows_until_the_cloud_has_nothing_left() {
    let mut world = World::new(at(0));
    let grows = Growth { most: 9, boots_in: Duration::from_secs(60), market: Market::OnDemand };
    world.add_pool(Pool { grows: Some(grows), instance_type: "x".into(), ..pool("p", 1) });
    let offer = |free| Offer {
        instance_type: "x".into(),
        zone: "z".into(),
        market: Market::OnDemand,
        free,
    };
    world.offer(offer(1));
    world.add_app(app("app", Kind::Deployment, 12, Budget::MinAvailable(0)));
    world.pass(at(100_000));
    assert_eq!((world.health(), world.nodes_of(None).len()), ((8, 12), 2));
    world.offer(offer(1));
    world.pass(at(300_000));
    assert_eq!(world.health(), (12, 12));
}

#[test]
fn a_machine_that_is_taken_away_takes_the_work_of_a_gang_with_it() {
    let mut world = World::new(at(0));
    world.add_pool(pool("p", 3));
    let checkpoint = Checkpoint {
        every: Duration::from_secs(600),
        takes: Duration::from_secs(60),
        on_stop: false,
        asked: None,
        fails: false,
    };
    let gang = app("llm", Kind::Gang, 3, Budget::MinAvailable(0));
    world.add_app(App { checkpoint: Some(checkpoint), ..gang });
    world.pass(at(1000));
    world.reclaim_at("p-1", at(701_000));
    world.pass(at(702_000));
    assert_eq!((world.sums.hard_killed, world.sums.lost_work.as_secs()), (1, 300));
}
