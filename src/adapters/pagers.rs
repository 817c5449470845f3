//! The roads to people, one file per provider: its wire format, its limits, what its answers mean.

mod alertmanager;
mod email;
mod goalert;
mod opsgenie;
mod pagerduty;
mod slack;
mod webhook;

use crate::clock::Clock;
use crate::escalation::Dispatch;
use crate::model::{Contact, Delivery, Id, PageKey, PageKind, Pager, Report};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// A provider that does not answer within this time is asked again.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Rounds whose alerts are closed in the end.
const MOST_ROUNDS: u32 = 20;
/// Answers are read no further than this: they are quoted, not used.
const QUOTED: usize = 200;

#[derive(Clone)]
pub struct Pagers<C> {
    client: reqwest::Client,
    clock: C,
    limits: Arc<Mutex<BTreeMap<String, Arc<DefaultDirectRateLimiter>>>>,
}

impl<C: Clock> Pagers<C> {
    pub fn new(client: reqwest::Client, clock: C) -> Pagers<C> {
        Pagers { client, clock, limits: Arc::default() }
    }

    /// Waits for a place below the provider's own limit.
    async fn place(&self, contact: &Contact) {
        let per_minute = match contact.pager {
            // PagerDuty: 120 a minute and key. Slack: 1 a second and channel.
            Pager::PagerDuty { .. } => 100,
            Pager::Slack { .. } => 50,
            // What a person can read, and a mail server takes from anybody.
            Pager::Email(_) => 20,
            // Opsgenie's smallest plan.
            Pager::Opsgenie { .. } => 100,
            Pager::Console
            | Pager::Webhook { .. }
            | Pager::Alertmanager { .. }
            | Pager::GoAlert { .. } => 600,
        };
        let limiter = {
            let mut limits = self.limits.lock().await;
            let new = || {
                let rate = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
                // What comes at once counts for the minute as well.
                let burst = NonZeroU32::new((per_minute / 6).max(1)).unwrap_or(NonZeroU32::MIN);
                Arc::new(RateLimiter::direct(Quota::per_minute(rate).allow_burst(burst)))
            };
            Arc::clone(limits.entry(road(contact)).or_insert_with(new))
        };
        limiter.until_ready().await;
    }
}

/// What the provider's limit is for: contacts that share it share the limit.
fn road(contact: &Contact) -> String {
    let shared = match &contact.pager {
        Pager::PagerDuty { routing_key, .. } => Id::of(&["pagerduty", routing_key.expose()]),
        Pager::Slack { token, channel, .. } => Id::of(&["slack", token.expose(), channel]),
        Pager::Opsgenie { api_key, .. } => Id::of(&["opsgenie", api_key.expose()]),
        _ => return contact.name.clone(),
    };
    shared.as_str().to_owned()
}

/// Whose alerts stay open until they are closed, each round's under a key of its own.
fn keeps_alerts(pager: &Pager) -> bool {
    matches!(pager, Pager::PagerDuty { .. } | Pager::Opsgenie { .. } | Pager::GoAlert { .. })
}

impl<C: Clock> Dispatch for Pagers<C> {
    async fn send(&self, contact: &Contact, key: &PageKey, report: &Report) -> Delivery {
        if key.kind == PageKind::Resolve && keeps_alerts(&contact.pager) {
            for nth in key.nth.saturating_sub(MOST_ROUNDS).max(1)..key.nth {
                let closed = self.once(contact, &PageKey { nth, ..key.clone() }, report).await;
                if !matches!(closed, Delivery::Accepted(_)) {
                    return closed;
                }
            }
        }
        self.once(contact, key, report).await
    }
}

impl<C: Clock> Pagers<C> {
    async fn once(&self, contact: &Contact, key: &PageKey, report: &Report) -> Delivery {
        self.place(contact).await;
        match &contact.pager {
            Pager::Console => console(key, report),
            Pager::Webhook { url, headers, sign } => {
                let now = sign.as_ref().map(|secret| (secret, self.clock.now()));
                webhook::send(&self.client, url, headers, now, key, report).await
            }
            Pager::Opsgenie { api_key, responders, url } => {
                let road = opsgenie::Road { client: &self.client, url, api_key, responders };
                road.send(&self.clock, key, report).await
            }
            Pager::GoAlert { token, url } => {
                goalert::send(&self.client, url, token, key, report).await
            }
            Pager::Email(mailbox) => email::send(mailbox, key, report).await,
            Pager::PagerDuty { routing_key, url } => {
                pagerduty::send(&self.client, url, routing_key, key, report).await
            }
            Pager::Slack { token, channel, url, signing } => {
                let road = slack::Road { url, token, channel, buttons: signing.is_some() };
                road.send(&self.client, key, report).await
            }
            Pager::Alertmanager { urls } => {
                alertmanager::send(&self.client, urls, key, report, self.clock.now()).await
            }
        }
    }
}

/// The daemon's own log: what reaches whoever watches it.
fn console(key: &PageKey, report: &Report) -> Delivery {
    let text = plain(report);
    match key.kind {
        PageKind::Trigger => {
            tracing::error!(contact = key.contact, incident = report.incident, "PAGE {text}")
        }
        PageKind::Resolve => {
            tracing::info!(contact = key.contact, incident = report.incident, "RESOLVED {text}")
        }
        PageKind::Note => {
            tracing::info!(contact = key.contact, incident = report.incident, "NOTE {text}")
        }
    }
    Delivery::Accepted("console".into())
}

/// The report as plain text, without control characters.
fn plain(report: &Report) -> String {
    let mut lines = vec![format!("{} on {}: {}", report.title, report.target, report.why)];
    lines.extend(report.evidence.iter().map(|(name, text)| format!("{name}: {text}")));
    lines.extend(report.missing.iter().map(|(name, why)| format!("{name}: missing, {why}")));
    let text = lines.join("\n");
    text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
}

/// Same incident and contact, same key.
fn dedup_key(key: &PageKey) -> String {
    // A note opens nothing that a page would be taken for a repetition of.
    let note =
        if key.kind == PageKind::Note { format!(":note:{}", key.nth) } else { String::new() };
    format!("medevac:{}:{}{note}", key.incident, key.contact).chars().take(255).collect()
}

/// Same page, same key: the provider recognises a repetition, and the end of it. Who is called again, in another round or on
/// another level, is called by another key: under the same one, what is open or acknowledged already would not ring.
fn page_key(key: &PageKey) -> String {
    match key.kind {
        PageKind::Note => dedup_key(key),
        _ => {
            let ring = format!(":{}:{}", key.level, key.nth);
            let whole = dedup_key(key);
            whole.chars().take(255 - ring.len()).chain(ring.chars()).collect()
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Sends and reads the answer: status, `Retry-After`, and the body.
async fn ask(request: reqwest::RequestBuilder) -> Result<(u16, Option<u32>, String), Delivery> {
    // The error of a client may quote the URL, and a URL may hold a token: it is taken out.
    let lost = |error: reqwest::Error| Delivery::Retry {
        after: None,
        why: error.without_url().to_string(),
    };
    let response = request.timeout(TIMEOUT).send().await.map_err(lost)?;
    let status = response.status().as_u16();
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let after = header.and_then(|value| value.parse().ok());
    let body = response.text().await.map_err(lost)?;
    Ok((status, after, body))
}

/// The usual reading: 2xx taken, 408, 429 and 5xx later, everything else never.
fn usual(status: u16, after: Option<u32>, body: &str) -> Delivery {
    match status {
        200..=299 => Delivery::Accepted(cut(body, QUOTED)),
        408 | 429 | 500.. => Delivery::Retry { after, why: format!("answered {status}") },
        _ => Delivery::Refused(format!("answered {status}: {}", cut(body, QUOTED))),
    }
}
