//! The daemon: starts every room on whatever ports it is given, and starts them again when the log comes back.
//!
//! Of several replicas one is active (`lease`): it decides and acts, the others take events in and wait. The
//! active one sets a fence in the log and works behind it (`fenced`).
//! The only place where the rooms stand side by side; they meet on the log and never call each other.
//! May import: every room. Never `adapters`: what they implement is handed in.

mod fenced;
mod heart;
mod keeper;
mod lease;
mod reload;
mod witness;

pub use lease::{Alone, Claim, KvLease, LeaseStore, Term, Version};
pub use reload::{Files, in_force, reload};
pub use witness::Witness;

use crate::clock::Clock;
use crate::cluster::{ClusterControl, ClusterView, Follows};
use crate::escalation::{self, Dispatch};
use crate::log::{Kv, Log, LogError};
use crate::model::kind;
use crate::remediation::{self, Beyond, run::Hands};
use crate::rules::Ruleset;
use crate::sources::{kubernetes, schedule};
use crate::{engine, plan};
use fenced::Fenced;
use futures_util::future::BoxFuture;
use lease::Election;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

/// Everything outside of the rooms. `control` is absent in observe mode.
#[derive(Clone)]
pub struct Ports<L, C, V, K, W, D, S> {
    pub log: L,
    pub clock: C,
    pub hands: Hands<V, K, W>,
    pub dispatch: D,
    /// Where the lease is kept that makes one replica the active one.
    pub lease: S,
    /// The name of this replica. No other one has it, nor had it before.
    pub me: String,
    pub told: Told,
}

/// What the configuration says about what the daemon tells itself of.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The cluster's name, for events that carry none.
    pub cluster: Option<String>,
    /// Kinds of objects whose conditions are told, and whether all events of the API are.
    pub follows: Follows,
    /// Whom it tells that it lives.
    pub pulse: Option<Pulse>,
}

/// One sign of life to somebody outside.
pub type Beat = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How often the active replica says that it lives, and how.
#[derive(Clone)]
pub struct Pulse {
    pub every: Duration,
    pub beat: Beat,
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulse").field("every", &self.every).finish_non_exhaustive()
    }
}

/// How long before rooms that lost the log are started again.
const AGAIN: Duration = Duration::from_secs(1);

/// Waits to be the active replica and runs the rooms while it is, until `stop` says so.
pub async fn run<L, C, V, K, W, D, S>(
    ports: Ports<L, C, V, K, W, D, S>,
    rules: watch::Receiver<Arc<Ruleset>>,
    witness: Witness,
    mut stop: watch::Receiver<bool>,
) where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Beyond,
    D: Dispatch,
    S: LeaseStore,
{
    let (store, clock, me) = (ports.lease.clone(), ports.clock.clone(), ports.me.clone());
    let election = Election { store, clock, me };
    loop {
        let mut held = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            held = election.win() => held,
        };
        tracing::info!(term = held.term.number, "this replica is the active one");
        let term = held.term.clone();
        let mut rooms = JoinSet::new();
        let lost = tokio::select! {
            biased;
            () = stopped(&mut stop) => None,
            why = election.keep(&mut held) => Some(why),
            why = work(&ports, &rules, &witness, &term, &mut rooms) => Some(why),
        };
        witness.0.active(false);
        rooms.shutdown().await;
        election.give_back(held).await;
        match lost {
            None => return,
            Some(why) => tracing::warn!(why, "this replica is not the active one any more"),
        }
        // One that cannot work lets the others try first.
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = ports.clock.after(AGAIN) => {}
        }
    }
}

/// Keeps the rooms running, behind a fence of this term, until another replica has set its own: the reason.
async fn work<L, C, V, K, W, D, S>(
    ports: &Ports<L, C, V, K, W, D, S>,
    rules: &watch::Receiver<Arc<Ruleset>>,
    witness: &Witness,
    term: &Term<C>,
    rooms: &mut Rooms,
) -> String
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Beyond,
    D: Dispatch,
    S: LeaseStore,
{
    loop {
        match ports.log.fence(&ports.me, term.number).await {
            Ok(log) => {
                start(ports, log, rules, witness, term, rooms);
                witness.0.active(true);
                match rooms.join_next().await {
                    Some(Ok((_, Err(error @ LogError::Fenced)))) => return error.to_string(),
                    Some(Ok((room, Err(error)))) => {
                        tracing::error!(room, %error, "stopped; all rooms start again from the log");
                    }
                    Some(Ok((room, Ok(())))) => {
                        tracing::error!(room, "ended; all rooms start again from the log");
                    }
                    Some(Err(error)) => {
                        tracing::error!(%error, "a room failed; all start again from the log");
                    }
                    None => {}
                }
                rooms.shutdown().await;
            }
            Err(error @ (LogError::Fenced | LogError::Newer { .. })) => return error.to_string(),
            Err(error) => tracing::error!(%error, "the log cannot be written"),
        }
        ports.clock.after(AGAIN).await;
        if !term.holds() {
            return "the lease could not be kept".into();
        }
    }
}

type Rooms = JoinSet<(&'static str, Result<(), LogError>)>;

fn start<L, C, V, K, W, D, S>(
    ports: &Ports<L, C, V, K, W, D, S>,
    log: L,
    rules: &watch::Receiver<Arc<Ruleset>>,
    witness: &Witness,
    term: &Term<C>,
    rooms: &mut Rooms,
) where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Beyond,
    D: Dispatch,
    S: LeaseStore,
{
    let Hands { view, control, beyond } = ports.hands.clone();
    let fenced = |control| Fenced { inner: control, term: term.clone() };
    let beyond = Fenced { inner: beyond, term: term.clone() };
    let hands = Hands { view: view.clone(), control: control.map(fenced), beyond };
    let dispatch = Fenced { inner: ports.dispatch.clone(), term: term.clone() };
    let (one, time) = (log.clone(), ports.clock.clone());
    let (all, seen) = (rules.clone(), witness.clone());
    rooms.spawn(async move { ("engine", engine::run::run(one, time, all, seen).await) });
    let (one, time, sight) = (log.clone(), ports.clock.clone(), view.clone());
    let schedules = part(rules.clone(), |rules| Arc::clone(&rules.schedules));
    let cluster = ports.told.cluster.clone();
    rooms.spawn(
        async move { ("schedule", schedule::run(one, time, sight, cluster, schedules).await) },
    );
    let (one, time, sight) = (log.clone(), ports.clock.clone(), view.clone());
    let (cluster, told) = (ports.told.cluster.clone(), ports.told.follows.clone());
    let follows = part(rules.clone(), move |rules| Arc::new(follows(rules, &told)));
    rooms.spawn(async move {
        ("kubernetes", kubernetes::run(one, time, sight, cluster, follows).await)
    });
    let (one, time) = (log.clone(), ports.clock.clone());
    rooms.spawn(async move { ("plan", plan::run::run(one, time, view).await) });
    let (one, time, seen) = (log.clone(), ports.clock.clone(), witness.clone());
    rooms
        .spawn(async move { ("remediation", remediation::run::run(one, time, hands, seen).await) });
    let (one, time, seen) = (log.clone(), ports.clock.clone(), witness.clone());
    let people = part(rules.clone(), |rules| Arc::new(rules.directory.clone()));
    rooms.spawn(async move {
        ("escalation", escalation::run::run(one, time, people, dispatch, seen).await)
    });
    let (one, time, pulse) = (log.clone(), ports.clock.clone(), ports.told.pulse.clone());
    rooms.spawn(async move { ("heart", heart::run(one, time, pulse).await) });
    let time = ports.clock.clone();
    rooms.spawn(async move { ("keeper", keeper::run(log, time).await) });
}

/// What of the cluster has to be followed, for rules to hear what they wait for.
fn follows(rules: &Ruleset, told: &Follows) -> Follows {
    Follows {
        events: rules.hears(kind::CLUSTER_EVENT),
        all_events: told.all_events,
        conditions: rules.hears(kind::NODE_CONDITION),
        phases: rules.hears(kind::POD_PHASE),
        objects: if rules.hears(kind::OBJECT) { told.objects.clone() } else { vec![] },
    }
}

/// A part of the rules in force, for a room that knows no rules.
fn part<T: Send + Sync + 'static>(
    mut rules: watch::Receiver<Arc<Ruleset>>,
    of: impl Fn(&Ruleset) -> Arc<T> + Send + 'static,
) -> watch::Receiver<Arc<T>> {
    let now = of(&rules.borrow_and_update());
    let (sender, receiver) = watch::channel(now);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                () = sender.closed() => return,
                changed = rules.changed() => if changed.is_err() { return },
            }
            let next = of(&rules.borrow_and_update());
            sender.send_replace(next);
        }
    });
    receiver
}

/// Resolves once it is time to stop, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}
