//! The daemon: starts every room on whatever ports it is given, and starts them again when the log comes back.
//!
//! The only place where the rooms stand side by side; they meet on the log and never call each other.
//! May import: every room. Never `adapters`: what they implement is handed in.

mod reload;
mod witness;

pub use reload::{Files, reload};
pub use witness::Witness;

use crate::clock::Clock;
use crate::cluster::{ClusterControl, ClusterView};
use crate::escalation::{self, Dispatch};
use crate::log::{Kv, Log, LogError};
use crate::model::Directory;
use crate::remediation::{self, Web, run::Hands};
use crate::rules::Ruleset;
use crate::{engine, plan};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

/// Everything outside of the rooms. `control` is absent in observe mode.
#[derive(Clone)]
pub struct Ports<L, C, V, K, W, D> {
    pub log: L,
    pub clock: C,
    pub hands: Hands<V, K, W>,
    pub dispatch: D,
}

/// How long before rooms that lost the log are started again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs the rooms until `stop` says so.
pub async fn run<L, C, V, K, W, D>(
    ports: Ports<L, C, V, K, W, D>,
    rules: watch::Receiver<Arc<Ruleset>>,
    witness: Witness,
    mut stop: watch::Receiver<bool>,
) where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Web,
    D: Dispatch,
{
    loop {
        let mut rooms = start(&ports, &rules, &witness);
        let failed = tokio::select! {
            biased;
            ended = rooms.join_next() => ended,
            () = stopped(&mut stop) => return,
        };
        match failed {
            Some(Ok((room, Err(error)))) => {
                tracing::error!(room, %error, "stopped; all rooms start again from the log")
            }
            Some(Ok((room, Ok(())))) => {
                tracing::error!(room, "ended; all rooms start again from the log")
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a room failed; all start again from the log")
            }
            None => return,
        }
        rooms.shutdown().await;
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = ports.clock.after(AGAIN) => {}
        }
    }
}

fn start<L, C, V, K, W, D>(
    ports: &Ports<L, C, V, K, W, D>,
    rules: &watch::Receiver<Arc<Ruleset>>,
    witness: &Witness,
) -> JoinSet<(&'static str, Result<(), LogError>)>
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Web,
    D: Dispatch,
{
    let mut rooms = JoinSet::new();
    let Ports { log, clock, hands, dispatch } = ports.clone();
    let (one, all, seen) = (log.clone(), rules.clone(), witness.clone());
    let time = clock.clone();
    rooms.spawn(async move { ("engine", engine::run::run(one, time, all, seen).await) });
    let (one, time, view) = (log.clone(), clock.clone(), hands.view.clone());
    rooms.spawn(async move { ("plan", plan::run::run(one, time, view).await) });
    let (one, time, seen) = (log.clone(), clock.clone(), witness.clone());
    rooms
        .spawn(async move { ("remediation", remediation::run::run(one, time, hands, seen).await) });
    let (people, seen) = (directory(rules.clone()), witness.clone());
    rooms.spawn(async move {
        ("escalation", escalation::run::run(log, clock, people, dispatch, seen).await)
    });
    rooms
}

/// The directory of the rules in force.
fn directory(mut rules: watch::Receiver<Arc<Ruleset>>) -> watch::Receiver<Arc<Directory>> {
    let now = Arc::new(rules.borrow_and_update().directory.clone());
    let (sender, receiver) = watch::channel(now);
    tokio::spawn(async move {
        while rules.changed().await.is_ok() {
            let next = Arc::new(rules.borrow_and_update().directory.clone());
            if sender.send(next).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Resolves once it is time to stop, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}
