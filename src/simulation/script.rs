//! Makes happen what the scenario says, when it says so.

use super::alertmanager::Heard;
use super::crew::Crew;
use super::faults::Spell;
use super::queue::{Queue, notice};
use super::scenario::{Deed, Pick, Step, Tool};
use super::service::{Service, Turned};
use super::stage::{Stage, set_skew};
use super::world::Mark;
use crate::clock::Clock;
use crate::model::{Id, Pause, Target, kind};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};

/// AWS gives two minutes.
const NOTICE: Duration = Duration::from_secs(120);
/// Whoever posts an event tries again after so long.
const AGAIN: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Player {
    pub(super) stage: Arc<Stage>,
    pub(super) service: Service,
    pub(super) queue: Queue,
    pub(super) tells: mpsc::UnboundedSender<Heard>,
    pub(super) crew: Arc<Mutex<Crew>>,
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
        let mut touched = BTreeSet::new();
        // What takes a while goes on beside what comes next.
        let mut beside = JoinSet::new();
        for (number, (at, deed)) in agenda(&steps, &without).into_iter().enumerate() {
            self.stage.time.until(begins.checked_add(at).ok()).await;
            self.stage.tape().script(self.stage.time.now(), deed.describe());
            self.act(number, deed, &mut touched, &mut beside);
            while beside.try_join_next().is_some() {}
        }
        while beside.join_next().await.is_some() {}
    }

    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes that are meant, those that nothing happened to first.
    fn choose(&self, pick: &Pick, touched: &mut BTreeSet<String>) -> Vec<String> {
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
        if let Some(count) = pick.count {
            names.sort_by_key(|name| touched.contains(name));
            names.truncate(count as usize);
        }
        touched.extend(names.iter().cloned());
        names
    }

    fn act(
        &self,
        number: usize,
        deed: Deed,
        touched: &mut BTreeSet<String>,
        beside: &mut JoinSet<()>,
    ) {
        let now = self.stage.time.now();
        match deed {
            Deed::SpotNotice { pick, action, taken } => {
                for node in self.choose(&pick, touched) {
                    self.notice(
                        &node,
                        "EC2 Spot Instance Interruption Warning",
                        Some(&action),
                        now,
                    );
                    let at = now.checked_add(NOTICE).unwrap_or(now);
                    if taken {
                        self.stage.act(|world| world.reclaim_at(&node, at));
                    }
                }
            }
            Deed::Rebalance { pick } => {
                for node in self.choose(&pick, touched) {
                    self.notice(&node, "EC2 Instance Rebalance Recommendation", None, now);
                }
            }
            Deed::TakeAway { pick } => {
                for node in self.choose(&pick, touched) {
                    self.stage.act(|world| world.reclaim_at(&node, now));
                }
            }
            Deed::Silence { pick, lasts } => {
                let nodes = self.choose(&pick, touched);
                self.each(&nodes, |world, node| world.silence(node, true));
                if let Some(lasts) = lasts {
                    let player = self.clone();
                    beside.spawn(async move {
                        player.stage.time.after(lasts).await;
                        player.each(&nodes, |world, node| world.silence(node, false));
                    });
                }
            }
            Deed::Alert { labels, annotations, pick, count, clears_after } => {
                let nodes = pick.map(|pick| self.choose(&pick, touched));
                let alerts = alerts(&labels, nodes, count);
                self.alert(alerts, annotations, clears_after, beside);
            }
            Deed::Event { kind, subject, pick, data, count } => {
                let nodes = pick.map(|pick| self.choose(&pick, touched));
                let about: Vec<Option<String>> = match nodes {
                    Some(nodes) => nodes.iter().map(|node| Some(format!("node/{node}"))).collect(),
                    None => vec![subject; count as usize],
                };
                for (at, subject) in about.into_iter().enumerate() {
                    let event = json!({
                        "specversion": "1.0", "id": format!("{number}-{at}"), "source": "script",
                        "type": kind, "subject": subject, "time": now, "data": data,
                    });
                    beside.spawn(self.clone().post(event));
                }
            }
            Deed::Body { to_alertmanager, text } => {
                beside.spawn(self.clone().body(to_alertmanager, text));
            }
            Deed::PersonCordons { pick, closed } => {
                let nodes = self.choose(&pick, touched);
                self.each(&nodes, |world, node| world.person_cordons(node, closed));
                let mut invariants = self.stage.invariants();
                nodes.iter().for_each(|node| invariants.person_cordons(node, closed));
            }
            Deed::PersonAnswers { pick, by, resolves } => {
                for node in self.choose(&pick, touched) {
                    let about = Target::Node(node);
                    let open: Vec<String> = self
                        .stage
                        .invariants()
                        .ledger
                        .open_incidents()
                        .filter(|(_, incident)| incident.target == about)
                        .map(|(id, _)| id.clone())
                        .collect();
                    for incident in open {
                        let (player, by, about) = (self.clone(), by.clone(), about.clone());
                        beside.spawn(async move {
                            player.service.answer(resolves, &incident, &about, &by).await;
                        });
                    }
                }
            }
            Deed::PersonPauses { scope, by, reason, lasts } => {
                let until = now.checked_add(lasts).unwrap_or(now);
                let id = format!("pause-{number}");
                let pause = Pause { id, scope, by, reason, since: now, until };
                beside.spawn(self.clone().pause(pause));
            }
            Deed::Backup { name, tool, takes, ends } => {
                beside.spawn(self.clone().backup(name, tool, takes, ends));
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
            | Deed::Skew { .. } => self.harm(deed, now, beside),
        }
    }

    /// What nobody is to blame for.
    fn harm(&self, deed: Deed, now: Timestamp, beside: &mut JoinSet<()>) {
        let later = |lasts| now.checked_add(lasts).unwrap_or(Timestamp::MAX);
        match deed {
            Deed::Trouble { whom, only, how, lasts } => {
                let spell = Spell { whom, only, trouble: how, from: now, until: later(lasts) };
                self.stage.faults().spells.push(spell);
            }
            Deed::Stale { lasts } => {
                self.stage.freeze();
                let stage = Arc::clone(&self.stage);
                beside.spawn(async move {
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
                    beside.spawn(async move {
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

    fn alert(
        &self,
        alerts: Vec<BTreeMap<String, String>>,
        annotations: BTreeMap<String, String>,
        clears_after: Option<Duration>,
        beside: &mut JoinSet<()>,
    ) {
        for labels in &alerts {
            self.tell(Heard::Fires { labels: labels.clone(), annotations: annotations.clone() });
        }
        if let Some(after) = clears_after {
            let player = self.clone();
            beside.spawn(async move {
                player.stage.time.after(after).await;
                for labels in alerts {
                    player.tell(Heard::Resolved { labels });
                }
            });
        }
    }

    fn tell(&self, heard: Heard) {
        if self.tells.send(heard).is_err() {
            tracing::debug!("Alertmanager is gone");
        }
    }

    /// Carries to the daemon what somebody outside sends because he was called.
    pub(super) async fn carry(self, mut echoes: mpsc::UnboundedReceiver<Value>) {
        while let Some(event) = echoes.recv().await {
            self.clone().post(event).await;
        }
    }

    /// Posts one event until it is taken or refused.
    async fn post(self, event: Value) {
        let body = event.to_string();
        loop {
            match self.service.events("application/cloudevents+json", body.as_bytes()).await {
                Ok(_) => break,
                Err(Turned::Bad(why)) => {
                    self.stage.tape().script(self.stage.time.now(), format!("400: {why}"));
                    return;
                }
                Err(Turned::Later) => self.stage.time.after(AGAIN).await,
            }
        }
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let id = Id::given(text("source"), text("id"));
        let now = self.stage.time.now();
        self.stage.invariants().accepted_event(&id, &self.stage.store(), now);
    }

    async fn body(self, to_alertmanager: bool, text: String) {
        loop {
            let sent = match to_alertmanager {
                true => self.service.alertmanager(text.as_bytes()).await,
                false => self.service.events("application/json", text.as_bytes()).await,
            };
            let said = match sent {
                Ok(tally) => {
                    format!("202: {} accepted, {} set aside", tally.accepted, tally.dead_letters)
                }
                Err(Turned::Bad(why)) => format!("400: {why}"),
                Err(Turned::Later) => {
                    self.stage.time.after(AGAIN).await;
                    continue;
                }
            };
            self.stage.tape().script(self.stage.time.now(), said);
            return;
        }
    }

    async fn pause(self, pause: Pause) {
        let about = Target::Other { kind: "pause".into(), name: pause.id.clone() };
        let payload = serde_json::to_value(&pause).unwrap_or_default();
        while self.service.request(kind::PAUSE, about.clone(), payload.clone()).await.is_err() {
            self.stage.time.after(AGAIN).await;
        }
    }

    /// A backup that runs and ends: what its tool tells the world.
    async fn backup(self, name: String, tool: Tool, takes: Duration, ends: String) {
        let stage = &self.stage;
        stage.time.after(takes).await;
        let now = stage.time.now();
        stage.tape().script(now, format!("the backup {name} has {ends}"));
        match tool {
            Tool::AwsBackup => {
                let state = if ends == "completed" { "COMPLETED" } else { "FAILED" };
                let id = Id::of(&["backup", &name, &now.to_string()]);
                self.queue.send(json!({
                    "version": "0", "id": id.as_str(), "detail-type": "Backup Job State Change",
                    "source": "aws.backup", "account": "123456789012", "time": now, "region": "eu-west-1",
                    "resources": [], "detail": { "backupJobId": name, "state": state },
                }));
            }
            Tool::Velero if ends == "completed" => {}
            Tool::Velero => {
                let alert = if ends == "failed" {
                    "VeleroBackupFailed"
                } else {
                    "VeleroBackupPartiallyFailed"
                };
                let labels = [("alertname", alert), ("schedule", &name), ("severity", "warning")];
                let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
                self.tell(Heard::Fires { labels: labels.into(), annotations: BTreeMap::new() });
            }
        }
    }
}

/// One set of labels for each alert.
fn alerts(
    labels: &BTreeMap<String, String>,
    nodes: Option<Vec<String>>,
    count: u32,
) -> Vec<BTreeMap<String, String>> {
    let with = |key: &str, value: String| {
        let mut all = labels.clone();
        all.insert(key.to_owned(), value);
        all
    };
    match (nodes, count) {
        (Some(nodes), _) => nodes.into_iter().map(|node| with("node", node)).collect(),
        (None, 1) => vec![labels.clone()],
        (None, count) => (1..=count).map(|at| with("series", at.to_string())).collect(),
    }
}
