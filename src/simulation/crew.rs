//! The daemons of a run: started, killed, stopped and started again. Each is the shipped `daemon::run`.

use super::hands::Ports as Hand;
use super::memory::Memory;
use super::queue::{self, Queue};
use super::scenario::Daemon;
use super::service::Service;
use super::stage::{Life, Stage};
use crate::clock::Clock;
use crate::daemon::{self, Alone, Claim, KvLease, LeaseStore, Ports, Version, Witness};
use crate::log::LogError;
use crate::remediation::run::Hands;
use crate::rules::Ruleset;
use crate::sources::{Intake, awaited, sqs};
use crate::telemetry::Metrics;
use jiff::Timestamp;
use std::sync::{Arc, atomic::AtomicI64};
use tokio::{sync::watch, task::JoinSet};

/// A daemon that nobody else can replace needs no lease, as on the embedded log.
#[derive(Clone)]
enum Lease {
    Alone(Alone),
    Shared(KvLease<Memory>),
}

impl LeaseStore for Lease {
    async fn read(&self) -> Result<Option<(Claim, Version)>, LogError> {
        match self {
            Lease::Alone(alone) => alone.read().await,
            Lease::Shared(shared) => shared.read().await,
        }
    }

    async fn write(&self, claim: &Claim, over: Option<&Version>) -> Result<Version, LogError> {
        match self {
            Lease::Alone(alone) => alone.write(claim, over).await,
            Lease::Shared(shared) => shared.write(claim, over).await,
        }
    }
}

struct Slot {
    life: Option<Life>,
    /// Ends with the process.
    tasks: JoinSet<()>,
    skew: Arc<AtomicI64>,
    again_at: Option<Timestamp>,
    /// The pod that the process runs in.
    pod: Option<String>,
    rules: Option<watch::Sender<Arc<Ruleset>>>,
    stop: Option<watch::Sender<bool>>,
}

pub(super) struct Crew {
    stage: Arc<Stage>,
    service: Service,
    queue: Queue,
    rules: Arc<Ruleset>,
    daemon: Daemon,
    slots: Vec<Slot>,
    lives: u32,
}

impl Crew {
    pub(super) fn new(
        stage: Arc<Stage>,
        service: Service,
        queue: Queue,
        rules: Arc<Ruleset>,
        daemon: Daemon,
    ) -> Crew {
        let slot = |_| Slot {
            life: None,
            tasks: JoinSet::new(),
            skew: Arc::default(),
            again_at: None,
            pod: None,
            rules: None,
            stop: None,
        };
        let slots = (0..daemon.replicas).map(slot).collect();
        Crew { stage, service, queue, rules, daemon, slots, lives: 0 }
    }

    pub(super) fn start_all(&mut self) {
        for replica in 0..self.slots.len() {
            self.start(replica);
        }
    }

    /// The pod that a daemon in the cluster runs in, where it is ready.
    fn home(&self) -> Option<String> {
        let (namespace, name) = self.daemon.app.as_ref()?;
        let pods = self.stage.world().pods_of(namespace, name);
        pods.into_iter().find(|pod| pod.ready && pod.deleted_at.is_none()).map(|pod| pod.uid)
    }

    fn start(&mut self, replica: usize) {
        let home = self.home();
        if self.daemon.app.is_some() && home.is_none() {
            return;
        }
        self.lives += 1;
        let slot = &mut self.slots[replica];
        let life = Life::new(Arc::clone(&self.stage), self.lives, Arc::clone(&slot.skew));
        let hand = Hand { life: life.clone() };
        let log = Memory::new(life.clone());
        let ports = Ports {
            log: log.clone(),
            clock: life.watch.clone(),
            hands: Hands {
                view: hand.clone(),
                // Hands it has in any mode: that it does not move them is what is looked at.
                control: Some(hand.clone()),
                beyond: hand.clone(),
            },
            dispatch: hand.clone(),
            lease: match self.daemon.replicas {
                1 => Lease::Alone(Alone),
                _ => Lease::Shared(KvLease(log.clone())),
            },
            // Who is alone comes back as himself.
            me: match self.daemon.replicas {
                1 => "alone".into(),
                _ => format!("daemon-{replica}-{}", self.lives),
            },
            told: daemon::Told::default(),
        };
        let (rules, in_force) = watch::channel(Arc::clone(&self.rules));
        let (stop, stopped) = watch::channel(false);
        let door =
            Intake { log, clock: life.watch.clone(), view: hand, cluster: None, truncated: None };
        slot.tasks = JoinSet::new();
        let witness = Witness(Metrics::default());
        let source = queue::source(&self.queue.manners);
        for _ in 0..source.receivers {
            let (queue, source) = (self.queue.reached_by(&life), source.clone());
            slot.tasks.spawn(sqs::run(queue, source, door.clone(), witness.clone()));
        }
        slot.tasks.spawn(awaited::run(door.clone()));
        slot.tasks.spawn(daemon::run(ports, in_force, witness, stopped));
        let (stage, listed_at) = (Arc::clone(&self.stage), life.listed_at);
        slot.tasks.spawn(async move {
            stage.time.until(Some(listed_at)).await;
            stage.seen.notify_waiters();
        });
        self.service.open(self.lives, door);
        (slot.rules, slot.stop) = (Some(rules), Some(stop));
        (slot.life, slot.again_at, slot.pod) = (Some(life), None, home);
        if self.lives > 1 {
            let text = format!("daemon {replica} is up");
            self.stage.tape().fault(self.stage.time.now(), text);
        }
    }

    /// Puts away what has died, and starts again what is due. When to come back.
    pub(super) fn tend(&mut self) -> Option<Timestamp> {
        let now = self.stage.time.now();
        for replica in 0..self.slots.len() {
            self.check_home(replica);
            let slot = &mut self.slots[replica];
            if let Some(life) = slot.life.take_if(|life| life.gate.is_dead()) {
                self.service.close(life.number);
                self.stage.store().forget(life.number);
                // What still runs of it until the tasks are gone meets a gate that is shut.
                slot.tasks = JoinSet::new();
                (slot.rules, slot.stop, slot.pod) = (None, None, None);
                slot.again_at = now.checked_add(self.daemon.restarts_in).ok();
            }
            if slot.again_at.is_some_and(|at| at <= now) {
                self.start(replica);
            }
        }
        let coming = self.slots.iter().filter(|slot| slot.life.is_none());
        coming.filter_map(|slot| slot.again_at).filter(|at| *at > now).min()
    }

    /// A daemon in the cluster dies with its pod.
    fn check_home(&mut self, replica: usize) {
        let Some((namespace, name)) = &self.daemon.app else { return };
        let slot = &self.slots[replica];
        let (Some(life), Some(pod)) = (&slot.life, &slot.pod) else { return };
        let pods = self.stage.world().pods_of(namespace, name);
        if !pods.iter().any(|other| other.uid == *pod) && !life.gate.is_dead() {
            self.stage.tape().fault(self.stage.time.now(), "the daemon's own pod is gone".into());
            life.gate.kill();
        }
    }

    /// Waits in a cluster until its own pod is ready: looked at whenever the world changes.
    pub(super) fn lives_in_the_cluster(&self) -> bool {
        self.daemon.app.is_some()
    }

    pub(super) fn life(&self, replica: usize) -> Option<&Life> {
        self.slots.get(replica)?.life.as_ref()
    }

    pub(super) fn skew(&self, replica: usize) -> Option<&Arc<AtomicI64>> {
        Some(&self.slots.get(replica)?.skew)
    }

    /// Nothing stands in anybody's way any more.
    pub(super) fn heal(&mut self) {
        for slot in &self.slots {
            if let Some(life) = &slot.life {
                life.gate.go_on();
            }
        }
    }
}
