//! The lease as a Kubernetes Lease: compare-and-set on a real API server, and one active daemon of two.

use crate::{
    plane::Plane,
    support::{
        daemon::{Door, Orders, serve, world},
        metric, until,
    },
};
use medevac::adapters::embedded::{Embedded, Options};
use medevac::adapters::kubernetes::{KubernetesLease, connect};
use medevac::clock::System;
use medevac::daemon::{Claim, LeaseStore};
use medevac::log::LogError;
use medevac::simulation::Practice;
use std::sync::Arc;

fn claim(holder: &str, beat: u64) -> Claim {
    Claim { holder: holder.into(), term: 1, since: jiff::Timestamp::UNIX_EPOCH, beat }
}

pub(crate) async fn a_write_over_what_has_changed_is_refused(plane: Arc<Plane>) {
    let client = connect(Some(&plane.kubeconfig)).await.unwrap();
    let store = KubernetesLease::new(client, "kube-public");
    assert_eq!(store.read().await.unwrap(), None);
    let first = store.write(&claim("a", 0), None).await.unwrap();
    assert!(matches!(store.write(&claim("b", 0), None).await, Err(LogError::Conflict)));
    let second = store.write(&claim("a", 1), Some(&first)).await.unwrap();
    let late = store.write(&claim("b", 0), Some(&first)).await;
    assert!(matches!(late, Err(LogError::Conflict)), "{late:?}");
    assert_eq!(store.read().await.unwrap(), Some((claim("a", 1), second)));
    let powerless = connect(Some(&plane.powerless)).await.unwrap();
    let denied = KubernetesLease::new(powerless, "kube-public").read().await;
    assert!(matches!(denied, Err(LogError::Denied(_))), "{denied:?}");
}

pub(crate) async fn of_two_daemons_one_is_active_and_the_other_follows(plane: Arc<Plane>) {
    let mut daemons = vec![];
    for name in ["lease-a", "lease-b"] {
        let client = connect(Some(&plane.kubeconfig)).await.unwrap();
        let lease = KubernetesLease::new(client, "default");
        let orders = Orders::new(&plane.directory.path().join(name), 0, "rules: []");
        let log = Embedded::open(&orders.directory, Options::default(), System).unwrap();
        let practice = Practice::new(world(), System);
        let (view, control) = (practice.clone(), practice);
        let mut orders = orders;
        orders.name = name.into();
        daemons.push(serve(&orders, Door::default(), log, lease, view, control).await);
    }
    let active = async |url: String| metric(&url, "medevac_active", &[]).await > 0.0;
    let urls: Vec<String> = daemons.iter().map(|daemon| daemon.url.clone()).collect();
    let first = until("one is active", || async {
        match (active(urls[0].clone()).await, active(urls[1].clone()).await) {
            (true, false) => Some(0),
            (false, true) => Some(1),
            _ => None,
        }
    })
    .await;
    daemons.remove(first);
    let other = urls[1 - first].clone();
    until("the other one follows", || async { active(other.clone()).await.then_some(()) }).await;
}
