//! Alertmanager as its receivers know it: it groups, waits, repeats, and tries again on 5xx and on nothing else.

use super::service::{Service, Turned};
use crate::clock::Clock;
use crate::model::{Alert, AlertStatus, fingerprint};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::sync::mpsc;

/// `route` of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub group_by: Vec<String>,
    pub group_wait: Duration,
    pub group_interval: Duration,
    pub repeat_interval: Duration,
    /// Every notification is sent by a second peer as well, so much later.
    pub twin: Option<Duration>,
}

impl Default for Route {
    fn default() -> Self {
        // Alertmanager's own defaults.
        Route {
            group_by: vec!["alertname".into()],
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(300),
            repeat_interval: Duration::from_secs(4 * 3600),
            twin: None,
        }
    }
}

type Labels = BTreeMap<String, String>;

/// What Prometheus tells it.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Fires { labels: Labels, annotations: Labels },
    Resolved { labels: Labels },
}

#[derive(Debug, Clone)]
struct Known {
    labels: Labels,
    annotations: Labels,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Group {
    alerts: BTreeMap<String, Known>,
    flush_at: Timestamp,
    /// What the last good notification said, and when.
    sent: Option<(BTreeSet<String>, BTreeSet<String>, Timestamp)>,
    /// Tries of the notification under way, and until when they go on.
    trying: Option<(u32, Timestamp)>,
}

pub(super) struct Alertmanager {
    pub(super) service: Service,
    pub(super) route: Route,
    pub(super) inbox: mpsc::UnboundedReceiver<Heard>,
    groups: BTreeMap<String, Group>,
}

impl Alertmanager {
    pub(super) fn new(
        service: Service,
        route: Route,
        inbox: mpsc::UnboundedReceiver<Heard>,
    ) -> Alertmanager {
        Alertmanager { service, route, inbox, groups: BTreeMap::new() }
    }

    pub(super) async fn run(mut self) {
        loop {
            let time = self.service.stage.time;
            let due = self.groups.values().map(|group| group.flush_at).min();
            tokio::select! {
                biased;
                Some(heard) = self.inbox.recv() => self.hear(heard, time.now()),
                () = time.until(due) => {
                    let now = time.now();
                    let late = self.groups.iter().find(|(_, group)| group.flush_at <= now);
                    if let Some(key) = late.map(|(key, _)| key.clone()) {
                        self.flush(&key).await;
                    }
                }
            }
        }
    }

    fn key(&self, labels: &Labels) -> String {
        let pair = |name: &String| Some(format!("{name}={:?}", labels.get(name)?));
        let pairs: Vec<String> = self.route.group_by.iter().filter_map(pair).collect();
        format!("{{}}:{{{}}}", pairs.join(", "))
    }

    fn hear(&mut self, heard: Heard, now: Timestamp) {
        let (Heard::Fires { labels, .. } | Heard::Resolved { labels }) = &heard;
        let (key, id) = (self.key(labels), fingerprint(labels));
        let wait = now.checked_add(self.route.group_wait).unwrap_or(now);
        match heard {
            Heard::Fires { labels, annotations } => {
                let group = self
                    .groups
                    .entry(key)
                    .or_insert_with(|| Group { flush_at: wait, ..Group::default() });
                let fresh = Known { labels, annotations, starts_at: now, ends_at: None };
                match group.alerts.get_mut(&id).filter(|known| known.ends_at.is_none()) {
                    Some(known) => known.annotations = fresh.annotations,
                    None => {
                        group.alerts.insert(id, fresh);
                    }
                }
            }
            Heard::Resolved { .. } => {
                let known = self.groups.get_mut(&key).and_then(|group| group.alerts.get_mut(&id));
                if let Some(known) = known {
                    known.ends_at.get_or_insert(now);
                }
            }
        }
    }

    async fn flush(&mut self, key: &str) {
        let time = self.service.stage.time;
        let Some(group) = self.groups.get_mut(key) else { return };
        if !group.has_news(time.now(), self.route.repeat_interval) {
            group.done(time.now(), self.route.group_interval);
            self.tidy(key);
            return;
        }
        let said = (group.states(false), group.states(true));
        let body = body(key, &group.alerts);
        let alerts: Vec<Alert> = group.alerts.values().map(told).collect();
        let sent = self.service.alertmanager(&body).await;
        if let Some(after) = self.route.twin {
            let service = self.service.clone();
            tokio::spawn(async move {
                time.after(after).await;
                // The twin's own tries are not modelled: one more copy is what matters.
                drop(service.alertmanager(&body).await);
            });
        }
        let (now, interval) = (time.now(), self.route.group_interval);
        let Some(group) = self.groups.get_mut(key) else { return };
        match sent {
            Ok(_) => {
                let stage = &self.service.stage;
                alerts.iter().for_each(|alert| stage.invariants().accepted_alert(alert, now));
                group.sent = Some((said.0, said.1, now));
                group.done(now, interval);
            }
            Err(Turned::Later) => group.again(now, interval),
            Err(Turned::Bad(_)) => {
                group.trying = None;
                group.flush_at = later(now, interval);
            }
        }
        self.tidy(key);
    }

    fn tidy(&mut self, key: &str) {
        if self.groups.get(key).is_some_and(|group| group.alerts.is_empty()) {
            self.groups.remove(key);
        }
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

impl Group {
    /// The alerts that have ended, or those that have not.
    fn states(&self, ended: bool) -> BTreeSet<String> {
        let alerts = self.alerts.iter();
        let ours = alerts.filter(|(_, known)| known.ends_at.is_some() == ended);
        ours.map(|(id, _)| id.clone()).collect()
    }

    /// Whether a notification is due: something new fires, something has ended, or it is time to repeat.
    fn has_news(&self, now: Timestamp, repeat: Duration) -> bool {
        let (firing, resolved) = (self.states(false), self.states(true));
        match &self.sent {
            None => !firing.is_empty(),
            Some((before, over, at)) => {
                let due = later(*at, repeat) <= now;
                !firing.is_subset(before)
                    || !resolved.is_subset(over)
                    || (!firing.is_empty() && due)
            }
        }
    }

    /// Nothing is owed any more: what has ended and was told goes.
    fn done(&mut self, now: Timestamp, interval: Duration) {
        let told = self.sent.as_ref().map(|(_, over, _)| over.clone()).unwrap_or_default();
        let never = self.sent.is_none();
        self.alerts.retain(|id, known| known.ends_at.is_none() || (!never && !told.contains(id)));
        self.trying = None;
        self.flush_at = later(now, interval);
    }

    /// 5xx: again with a growing pause, until the flush is given up for the next.
    fn again(&mut self, now: Timestamp, interval: Duration) {
        let most = later(now, interval.max(Duration::from_secs(10)));
        let (tries, until) = self.trying.unwrap_or((0, most));
        let pause = Duration::from_millis(500).mul_f64(1.5_f64.powi(tries.min(20).cast_signed()));
        let next = later(now, pause.min(Duration::from_secs(60)));
        (self.trying, self.flush_at) = match next < until {
            true => (Some((tries + 1, until)), next),
            false => (None, later(now, interval)),
        };
    }
}

fn told(known: &Known) -> Alert {
    Alert {
        status: if known.ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
        name: known.labels.get("alertname").cloned().unwrap_or_default(),
        fingerprint: fingerprint(&known.labels),
        labels: known.labels.clone(),
        annotations: BTreeMap::new(),
        starts_at: known.starts_at,
        ends_at: known.ends_at,
        generator_url: String::new(),
        receiver: String::new(),
        external_url: String::new(),
        group_key: String::new(),
    }
}

/// A webhook body, version 4.
fn body(key: &str, alerts: &BTreeMap<String, Known>) -> Vec<u8> {
    let word = |known: &Known| if known.ends_at.is_some() { "resolved" } else { "firing" };
    let alert = |(id, known): (&String, &Known)| {
        let ends = known.ends_at.map_or("0001-01-01T00:00:00Z".into(), |at| at.to_string());
        json!({
            "status": word(known), "labels": known.labels, "annotations": known.annotations,
            "startsAt": known.starts_at, "endsAt": ends, "fingerprint": id,
            "generatorURL": "http://prometheus.example/graph",
        })
    };
    let firing = alerts.values().any(|known| known.ends_at.is_none());
    let alerts: Vec<Value> = alerts.iter().map(alert).collect();
    let body = json!({
        "receiver": "medevac", "status": if firing { "firing" } else { "resolved" }, "alerts": alerts,
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093", "version": "4", "groupKey": key, "truncatedAlerts": 0,
    });
    serde_json::to_vec(&body).unwrap_or_default()
}
