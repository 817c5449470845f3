//! Truncated groups: what a body hid is asked of Alertmanager's own API, at the configured addresses only.
//!
//! A body of more than `max_alerts` is cut, and what had resolved among the cut alerts is never sent again.

use super::{Intake, alertmanager};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Kv, Log};
use crate::model::{Alert, AlertStatus, Envelope, Event, Id, Target, kind};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::mpsc;

/// An answer of a hundred thousand alerts takes seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A group whose body was cut.
#[derive(Debug, Clone)]
pub struct Truncated {
    pub group_key: String,
    pub receiver: String,
    pub asked_at: Timestamp,
    /// Labels that all of its alerts share: the group's own among them.
    common: BTreeMap<String, String>,
}

impl Truncated {
    pub(super) fn of(group: &alertmanager::Group, now: Timestamp) -> Option<Truncated> {
        let first = group.alerts.first().filter(|_| group.truncated > 0)?;
        let mut common = first.labels.clone();
        common.retain(|name, value| {
            group.alerts.iter().all(|alert| alert.labels.get(name) == Some(value))
        });
        let (group_key, receiver) = (group.group_key.clone(), group.receiver.clone());
        // Only the labels that the group is made of may be asked for: others are shared by chance.
        let grouped = |name: &String| group_key.contains(&format!("{name}=\""));
        common.retain(|name, _| grouped(name));
        Some(Truncated { group_key, receiver, asked_at: now, common })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    #[serde(default)]
    receivers: Vec<Named>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Completes truncated groups until every sender is gone. `peers` are base URLs of Alertmanager.
pub async fn run<L: Log + Kv, C: Clock, V: ClusterView>(
    mut inbox: mpsc::Receiver<Truncated>,
    intake: Intake<L, C, V>,
    client: reqwest::Client,
    peers: Vec<String>,
) {
    while let Some(group) = inbox.recv().await {
        match complete(&intake, &client, &peers, &group).await {
            Ok(found) => {
                tracing::info!(group = group.group_key, found, "a truncated group is complete")
            }
            Err(why) => {
                tracing::warn!(group = group.group_key, why, "a truncated group stays incomplete")
            }
        }
    }
}

async fn complete<L: Log + Kv, C: Clock, V: ClusterView>(
    intake: &Intake<L, C, V>,
    client: &reqwest::Client,
    peers: &[String],
    group: &Truncated,
) -> Result<usize, String> {
    let mut why = "no Alertmanager is configured: give --alertmanager URL".to_owned();
    for peer in peers {
        match ask(client, peer, group).await {
            Ok(active) => {
                let found = active.len();
                intake
                    .own(events(active, group, intake))
                    .await
                    .map_err(|error| error.to_string())?;
                return Ok(found);
            }
            Err(error) => why = error.without_url().to_string(),
        }
    }
    Err(why)
}

async fn ask(
    client: &reqwest::Client,
    peer: &str,
    group: &Truncated,
) -> Result<Vec<Active>, reqwest::Error> {
    // Silenced and inhibited alerts fire all the same: they are not over.
    let mut url = format!(
        "{}/api/v2/alerts?active=true&silenced=true&inhibited=true",
        peer.trim_end_matches('/')
    );
    for (name, value) in &group.common {
        let matcher = format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        url.push_str("&filter=");
        url.push_str(&escape(&matcher));
    }
    let response = client.get(url).timeout(TIMEOUT).send().await?.error_for_status()?;
    let all: Vec<Active> = response.json().await?;
    let ours =
        |alert: &Active| alert.receivers.iter().any(|receiver| receiver.name == group.receiver);
    Ok(all.into_iter().filter(ours).collect())
}

fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The alerts that still fire, and the list of them: what the engine has open and is not in it is over.
fn events<L: Log + Kv, C: Clock, V: ClusterView>(
    active: Vec<Active>,
    group: &Truncated,
    intake: &Intake<L, C, V>,
) -> Vec<Envelope<Event>> {
    let mut fingerprints = vec![];
    let mut events = vec![];
    for one in active {
        let fingerprint = crate::model::fingerprint(&one.labels);
        fingerprints.push(fingerprint.clone());
        let alert = Alert {
            status: AlertStatus::Firing,
            name: one.labels.get("alertname").cloned().unwrap_or_default(),
            labels: one.labels,
            annotations: one.annotations,
            starts_at: one.starts_at,
            ends_at: None,
            fingerprint,
            generator_url: one.generator_url,
            receiver: group.receiver.clone(),
            external_url: String::new(),
            group_key: group.group_key.clone(),
        };
        let target = super::enrich::target(&alert, &intake.view);
        events.push(alertmanager::envelope(
            alert,
            target,
            intake.cluster.as_deref(),
            group.asked_at,
        ));
    }
    let asked_at = group.asked_at.to_string();
    let id = Id::of(&["reconciled", &group.group_key, &asked_at]);
    let target = Target::Other { kind: "group".into(), name: id.short(12).into() };
    let payload = json!({ "group_key": group.group_key, "active": fingerprints });
    let data = Event { payload, ..Event::default() };
    let source = "alertmanager/reconcile";
    events.push(Envelope::new(kind::GROUP_RECONCILED, id, source, target, group.asked_at, data));
    events
}
