//! Who sends something: Prometheus, other programs, backup tools, people.

use super::super::alertmanager::Heard;
use super::super::scenario::{Deed, Tool};
use super::super::service::Turned;
use super::{Player, Turn};
use crate::clock::Clock;
use crate::model::{Id, Pause, Target, kind};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::mpsc;

/// Whoever posts an event tries again after so long.
const AGAIN: Duration = Duration::from_secs(5);

impl Player {
    /// Programs that send.
    pub(super) fn sends(&self, deed: Deed, turn: &mut Turn) {
        let now = self.stage.time.now();
        match deed {
            Deed::Alert { labels, annotations, pick, count, clears_after } => {
                let nodes = pick.map(|pick| self.choose(&pick, turn));
                let alerts = alerts(&labels, nodes, count);
                self.alert(alerts, annotations, clears_after, turn);
            }
            Deed::Event { kind, subject, pick, data, count, late, twice } => {
                let happened = now.checked_sub(late).unwrap_or(now);
                let nodes = pick.map(|pick| self.choose(&pick, turn));
                let about: Vec<Option<String>> = match nodes {
                    Some(nodes) => nodes.iter().map(|node| Some(format!("node/{node}"))).collect(),
                    None => vec![subject; count as usize],
                };
                for (at, subject) in about.into_iter().enumerate() {
                    let event = json!({
                        "specversion": "1.0", "id": format!("{}-{at}", turn.number), "source": "script",
                        "type": kind, "subject": subject, "time": happened, "data": data,
                    });
                    if twice {
                        turn.beside.spawn(self.clone().post(event.clone()));
                    }
                    turn.beside.spawn(self.clone().post(event));
                }
            }
            Deed::Body { to_alertmanager, text, .. } => {
                turn.beside.spawn(self.clone().body(to_alertmanager, text));
            }
            Deed::Backup { name, tool, takes, ends } => {
                turn.beside.spawn(self.clone().backup(name, tool, takes, ends));
            }
            _ => {}
        }
    }

    /// People who do something.
    pub(super) fn person(&self, deed: Deed, turn: &mut Turn) {
        let now = self.stage.time.now();
        match deed {
            Deed::PersonCordons { pick, closed } => {
                let nodes = self.choose(&pick, turn);
                // Nobody can tell a second cordon from the first: only what a person changed is that person's.
                let differs = |node: &String| {
                    let world = self.stage.world();
                    world.node(node).is_some_and(|node| node.unschedulable != closed)
                };
                let changed: Vec<String> =
                    nodes.iter().filter(|node| differs(node)).cloned().collect();
                self.each(&nodes, |world, node| world.person_cordons(node, closed));
                let mut invariants = self.stage.invariants();
                changed.iter().for_each(|node| invariants.person_cordons(node, closed));
            }
            Deed::PersonAnswers { pick, by, resolves } => {
                for node in self.choose(&pick, turn) {
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
                        turn.beside.spawn(async move {
                            player.service.answer(resolves, &incident, &about, &by).await;
                        });
                    }
                }
            }
            Deed::PersonPauses { scope, by, reason, lasts } => {
                let until = now.checked_add(lasts).unwrap_or(now);
                let id = format!("pause-{}", turn.number);
                let pause = Pause { id, scope, by, reason, since: now, until };
                turn.beside.spawn(self.clone().pause(pause));
            }
            _ => {}
        }
    }

    fn alert(
        &self,
        alerts: Vec<BTreeMap<String, String>>,
        annotations: BTreeMap<String, String>,
        clears_after: Option<Duration>,
        turn: &mut Turn,
    ) {
        for labels in &alerts {
            self.tell(Heard::Fires { labels: labels.clone(), annotations: annotations.clone() });
        }
        if let Some(after) = clears_after {
            let player = self.clone();
            turn.beside.spawn(async move {
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
    pub(in crate::simulation) async fn carry(self, mut echoes: mpsc::UnboundedReceiver<Value>) {
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
