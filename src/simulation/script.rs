//! Makes happen what the scenario says, when it says so.

mod senders;

use super::alertmanager::Heard;
use super::crew::Crew;
use super::faults::Spell;
use super::queue::{Queue, lifecycle, notice};
use super::scenario::{Deed, Pick, Step};
use super::service::Service;
use super::stage::{Stage, set_skew};
use super::world::Mark;
use crate::clock::Clock;
use jiff::Timestamp;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};

/// AWS gives two minutes.
const NOTICE: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub(super) struct Player {
    pub(super) stage: Arc<Stage>,
    pub(super) service: Service,
    pub(super) queue: Queue,
    pub(super) tells: mpsc::UnboundedSender<Heard>,
    pub(super) crew: Arc<Mutex<Crew>>,
}

/// What one thing that happens leaves to the next.
pub(super) struct Turn {
    /// Of the thing that happens.
    number: usize,
    /// Nodes that something has happened to.
    touched: BTreeSet<String>,
    /// What takes a while goes on beside what comes next.
    beside: JoinSet<()>,
}

/// Everything in order of time; a step that happens several times stands there several times.
fn agenda(steps: &[Step], without: &BTreeSet<usize>) -> Vec<(Duration, Deed)> {
    let mut all = vec![];
    for (_, step) in steps.iter().enumerate().filter(|(at, _)| !without.contains(at)) {
        for time in 0..step.times {
            all.push((step.at + step.every * time, step.deed.clone()));
        }
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

impl Player {
    pub(super) async fn run(self, steps: Vec<Step>, without: BTreeSet<usize>, begins: Timestamp) {
        let mut turn = Turn { number: 0, touched: BTreeSet::new(), beside: JoinSet::new() };
        for (number, (at, deed)) in agenda(&steps, &without).into_iter().enumerate() {
            self.stage.time.until(begins.checked_add(at).ok()).await;
            self.stage.tape().script(self.stage.time.now(), deed.describe());
            turn.number = number;
            self.act(deed, &mut turn);
            while turn.beside.try_join_next().is_some() {}
        }
        while turn.beside.join_next().await.is_some() {}
    }

    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes that are meant, those that nothing happened to first.
    fn choose(&self, pick: &Pick, turn: &mut Turn) -> Vec<String> {
        let world = self.stage.world();
        let mut names = match (&pick.node, &pick.app) {
            (Some(node), _) => vec![node.clone()],
            (None, Some(app)) => {
                let name = app.split_once('/').map_or(app.as_str(), |(_, name)| name);
                world.home_of(name).into_iter().collect()
            }
            (None, None) => world.nodes_of(pick.pool.as_deref()),
        };
        if let Some(zone) = &pick.zone {
            names.retain(|name| world.node(name).is_some_and(|node| node.zone == *zone));
        }
        if let Some(name) = names.iter().find(|name| world.node(name).is_none()) {
            let text = format!("there is no node {name} now");
            self.stage.tape().script(self.stage.time.now(), text);
        }
        if let Some(count) = pick.count {
            names.sort_by_key(|name| turn.touched.contains(name));
            names.truncate(count as usize);
        }
        turn.touched.extend(names.iter().cloned());
        names
    }

    fn act(&self, deed: Deed, turn: &mut Turn) {
        match deed {
            Deed::SpotNotice { .. }
            | Deed::Rebalance { .. }
            | Deed::ScaleIn { .. }
            | Deed::Reboot { .. }
            | Deed::TakeAway { .. }
            | Deed::Silence { .. } => self.machines(deed, turn),
            Deed::Alert { .. } | Deed::Event { .. } | Deed::Body { .. } | Deed::Backup { .. } => {
                self.sends(deed, turn)
            }
            Deed::PersonCordons { .. } | Deed::PersonAnswers { .. } | Deed::PersonPauses { .. } => {
                self.person(deed, turn)
            }
            Deed::Scale { namespace, app, replicas } => {
                self.stage.act(|world| world.scale(&namespace, &app, replicas));
            }
            Deed::NamespaceEnds { namespace } => {
                self.stage.act(|world| world.ending.insert(namespace));
            }
            Deed::Echo { url, kind } => self.stage.echo(url, kind),
            Deed::Offer(offer) => self.stage.act(|world| world.offer(offer)),
            Deed::Trouble { .. }
            | Deed::Stale { .. }
            | Deed::Kill { .. }
            | Deed::Stop { .. }
            | Deed::Skew { .. } => self.harm(deed, turn),
        }
    }

    /// What happens to machines.
    fn machines(&self, deed: Deed, turn: &mut Turn) {
        let now = self.stage.time.now();
        match deed {
            Deed::SpotNotice { pick, action, taken } => {
                let what = "EC2 Spot Instance Interruption Warning";
                for node in self.choose(&pick, turn) {
                    self.notice(&node, what, Some(&action), now);
                    let at = now.checked_add(NOTICE).unwrap_or(now);
                    if taken {
                        self.stage.act(|world| world.reclaim_at(&node, at));
                    }
                }
            }
            Deed::Rebalance { pick } => {
                for node in self.choose(&pick, turn) {
                    self.notice(&node, "EC2 Instance Rebalance Recommendation", None, now);
                }
            }
            Deed::ScaleIn { pick, patience } => {
                for node in self.choose(&pick, turn) {
                    let ends = self.stage.act(|world| world.ends_with(&node, patience));
                    let Some((group, instance)) = ends else { continue };
                    self.queue.send(lifecycle(&group, &instance, now));
                    let text = format!("Auto Scaling ends with {node}, and waits for its hook");
                    self.stage.act(|world| world.mark(&node, Mark::Note, text));
                }
            }
            Deed::TakeAway { pick } => {
                for node in self.choose(&pick, turn) {
                    self.stage.act(|world| world.reclaim_at(&node, now));
                }
            }
            Deed::Reboot { pick, lasts } => {
                let nodes = self.choose(&pick, turn);
                self.each(&nodes, |world, node| world.silence(node, true));
                let player = self.clone();
                turn.beside.spawn(async move {
                    player.stage.time.after(lasts).await;
                    player.each(&nodes, |world, node| world.rebooted(node));
                });
            }
            Deed::Silence { pick, lasts } => {
                let nodes = self.choose(&pick, turn);
                self.each(&nodes, |world, node| world.silence(node, true));
                if let Some(lasts) = lasts {
                    let player = self.clone();
                    turn.beside.spawn(async move {
                        player.stage.time.after(lasts).await;
                        player.each(&nodes, |world, node| world.silence(node, false));
                    });
                }
            }
            _ => {}
        }
    }

    /// What nobody is to blame for.
    fn harm(&self, deed: Deed, turn: &mut Turn) {
        let now = self.stage.time.now();
        let later = |lasts| now.checked_add(lasts).unwrap_or(Timestamp::MAX);
        match deed {
            Deed::Trouble { whom, only, how, lasts } => {
                let spell = Spell { whom, only, trouble: how, from: now, until: later(lasts) };
                self.stage.faults().spells.push(spell);
            }
            Deed::Stale { lasts } => {
                self.stage.freeze();
                let stage = Arc::clone(&self.stage);
                turn.beside.spawn(async move {
                    stage.time.after(lasts).await;
                    stage.thaw();
                });
            }
            Deed::Kill { replica } => {
                if let Some(life) = self.crew().life(replica) {
                    life.gate.kill();
                }
                self.stage.died.notify_one();
            }
            Deed::Stop { replica, lasts } => {
                let gate = self.crew().life(replica).map(|life| life.gate.clone());
                if let Some(gate) = gate {
                    gate.stop();
                    let time = self.stage.time;
                    turn.beside.spawn(async move {
                        time.after(lasts).await;
                        gate.go_on();
                    });
                }
            }
            Deed::Skew { replica, ahead } => {
                if let Some(skew) = self.crew().skew(replica) {
                    set_skew(skew, ahead);
                }
            }
            _ => {}
        }
    }

    fn each(&self, nodes: &[String], deed: impl Fn(&mut super::world::World, &str)) {
        self.stage.act(|world| nodes.iter().for_each(|node| deed(world, node)));
    }

    /// AWS says something about a node's machine.
    fn notice(&self, node: &str, what: &str, action: Option<&str>, now: Timestamp) {
        let Some(instance) = self.stage.world().instance_of(node) else { return };
        self.stage.act(|world| world.mark(node, Mark::Notice, format!("{what}: {node}")));
        self.queue.send(notice(what, &instance, action, now));
    }
}
