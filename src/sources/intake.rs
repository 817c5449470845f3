//! The intake: durable first, then told so. One bad item is set aside with its reason.

use super::BadBody;
use super::{alertmanager, awaited, aws, cloudevents, enrich, reconcile};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::config::Format;
use crate::log::{DeadLetter, Entry, Kv, Log, LogError, Seq, Stream};
use crate::model::{Envelope, Event, Id, Target};
use crate::planted::{Bug, planted};
use serde_json::{Map, Value};

/// As what the letters of a queue are set aside.
const QUEUE: &str = "sqs";

/// Of a dead letter, so much is kept, where the log takes it.
const KEPT: usize = 1 << 20;

/// Bytes of a subject of the log. nats-server takes lines of 4096.
const LONGEST_SUBJECT: usize = 2000;

/// What became of a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    pub accepted: usize,
    /// Known already: a repeat, a retry, the other half of an HA pair.
    pub duplicates: usize,
    pub dead_letters: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum Received {
    #[error(transparent)]
    Bad(#[from] BadBody),
    #[error("not accepted")]
    NotAccepted(#[from] LogError),
}

/// Why a dead letter stays one.
#[derive(Debug, thiserror::Error)]
pub enum Requeued {
    #[error("{0}")]
    StillBad(String),
    #[error("not accepted")]
    NotAccepted(#[from] LogError),
}

#[derive(Clone)]
pub struct Intake<L, C, V> {
    pub log: L,
    pub clock: C,
    pub view: V,
    /// The name given to events that do not carry one.
    pub cluster: Option<String>,
    /// Where truncated groups are sent to be completed; nothing is asked where it is absent.
    pub truncated: Option<tokio::sync::mpsc::Sender<reconcile::Truncated>>,
}

impl<L: Log + Kv, C: Clock, V: ClusterView> Intake<L, C, V> {
    /// Takes an Alertmanager webhook body. When this returns, what it counts is durable.
    ///
    /// # Errors
    /// [`Received::Bad`]: the body is not one. [`Received::NotAccepted`]: nothing was taken, send it again.
    pub async fn alertmanager(&self, body: &[u8]) -> Result<Tally, Received> {
        self.ready()?;
        let now = self.clock.now();
        let group = alertmanager::read(body, now)?;
        let truncated = reconcile::Truncated::of(&group, now);
        let events: Vec<Envelope<Event>> = group
            .alerts
            .into_iter()
            .map(|alert| {
                let target = enrich::target(&alert, &self.view);
                alertmanager::envelope(alert, target, self.cluster.as_deref(), now)
            })
            .collect();
        let tally = self.accept("alertmanager", events, group.bad).await?;
        if let (Some(truncated), Some(to)) = (truncated, &self.truncated)
            && to.try_send(truncated).is_err()
        {
            tracing::warn!("a truncated group is not completed: too many wait already");
        }
        Ok(tally)
    }

    /// Takes one or several CloudEvents.
    ///
    /// # Errors
    /// [`Received::Bad`]: nothing in the body can be used. [`Received::NotAccepted`]: nothing was taken.
    pub async fn cloudevents(
        &self,
        content_type: &str,
        attributes: Map<String, Value>,
        body: &[u8],
    ) -> Result<Tally, Received> {
        self.ready()?;
        let (events, bad) = cloudevents::read(content_type, attributes, body, self.clock.now())?;
        Ok(self.accept("cloudevents", events, bad).await?)
    }

    /// Takes what was read from a queue: events, and texts that cannot be used with their reasons.
    ///
    /// # Errors
    /// Where nothing was taken.
    pub async fn queued(
        &self,
        events: Vec<Envelope<Event>>,
        bad: Vec<(String, String)>,
    ) -> Result<Tally, LogError> {
        self.ready()?;
        self.accept(QUEUE, events, bad).await
    }

    /// Takes a message of a subject with other people's events. What cannot be used is set aside, and is done with.
    ///
    /// # Errors
    /// Where nothing was taken.
    pub async fn message(
        &self,
        source: &str,
        format: &Format,
        headers: Map<String, Value>,
        body: &[u8],
    ) -> Result<Tally, LogError> {
        self.ready()?;
        let now = self.clock.now();
        let read = match format {
            Format::CloudEvents => {
                let kind = headers.get("content-type").and_then(Value::as_str).unwrap_or_default();
                let attributes = headers.iter().filter_map(|(name, value)| {
                    Some((name.strip_prefix("ce-")?.to_owned(), value.clone()))
                });
                cloudevents::read(kind, attributes.collect(), body, now)
            }
            Format::Json(mapping) => serde_json::from_slice(body)
                .map_err(|error| format!("not JSON: {error}"))
                .and_then(|value| mapping.event(source, value, now))
                .map(|event| (vec![event], vec![]))
                .map_err(BadBody),
        };
        let bad =
            |why: BadBody| (vec![], vec![(String::from_utf8_lossy(body).into_owned(), why.0)]);
        let (events, bad) = read.unwrap_or_else(bad);
        self.accept(source, events, bad).await
    }

    /// Takes what was set aside once more, as if it came now.
    ///
    /// # Errors
    /// [`Requeued::StillBad`]: it still cannot be used, and stays where it is.
    pub async fn requeue(&self, letter: &DeadLetter, seq: Seq) -> Result<Tally, Requeued> {
        self.ready()?;
        let still = |why: String| Requeued::StillBad(why);
        let now = self.clock.now();
        // A record that a consumer gave up: under a new name, or it would be known already.
        if let Ok(mut event) = serde_json::from_str::<Envelope<Event>>(&letter.body) {
            if event.kind.starts_with("medevac.") && !letter.source.starts_with("consumer/") {
                return Err(still("types that start with `medevac.` are the daemon's own".into()));
            }
            event.id = Id::of(&["requeue", event.id.as_str(), &seq.to_string()]);
            return Ok(self.accept(&letter.source, vec![event], vec![]).await?);
        }
        if letter.source.starts_with("nats/") {
            return Err(still("its subject's mapping is needed: publish it there again".into()));
        }
        if letter.source.starts_with("consumer/") {
            return Err(still("only events can be taken again; this is what came of one".into()));
        }
        if letter.source == QUEUE {
            let read = aws::read(letter.body.as_bytes(), now).map_err(|bad| still(bad.0))?;
            return match read {
                aws::Read::Events(events) => Ok(self.accept(QUEUE, events, vec![]).await?),
                aws::Read::Foreign(what) => Err(still(format!("it is not for us: {what}"))),
            };
        }
        let (events, mut bad) = if letter.source == "alertmanager" {
            let body = format!("{{\"version\":\"4\",\"alerts\":[{}]}}", letter.body);
            let group = alertmanager::read(body.as_bytes(), now).map_err(|bad| still(bad.0))?;
            let event = |alert| {
                let target = enrich::target(&alert, &self.view);
                alertmanager::envelope(alert, target, self.cluster.as_deref(), now)
            };
            (group.alerts.into_iter().map(event).collect(), group.bad)
        } else {
            cloudevents::read("", Map::new(), letter.body.as_bytes(), now)
                .map_err(|bad| still(bad.0))?
        };
        match bad.pop() {
            Some((_, why)) => Err(still(why)),
            None => Ok(self.accept(&letter.source, events, vec![]).await?),
        }
    }

    /// Makes events durable that need no translation: requests of people, news of the daemon itself.
    ///
    /// # Errors
    /// Where nothing was taken.
    pub async fn own(&self, events: Vec<Envelope<Event>>) -> Result<Tally, LogError> {
        self.accept("medevac", events, vec![]).await
    }

    /// Recorded before the cluster is known, an event would be decided upon without its node, and its repeats
    /// are no news: the sender is asked to come again.
    fn ready(&self) -> Result<(), LogError> {
        match self.view.ready() {
            true => Ok(()),
            false => Err(LogError::Unavailable(
                "the cluster is still being listed; send it again".into(),
            )),
        }
    }

    pub(super) async fn accept(
        &self,
        source: &str,
        events: Vec<Envelope<Event>>,
        bad: Vec<cloudevents::Bad>,
    ) -> Result<Tally, LogError> {
        let at = self.clock.now();
        let mut bad = bad;
        let mut entries = Vec::with_capacity(events.len() + bad.len());
        for mut event in events {
            if event.cluster.is_none() {
                event.cluster.clone_from(&self.cluster);
            }
            enrich::enrich(&mut event, &self.view);
            awaited::remember(&self.log, &event, at).await?;
            let entry = Entry::of(Stream::Events, &event);
            match usable(&event, &entry, self.log.max_record()) {
                Ok(()) => entries.push(entry),
                Err(why) => bad.push((String::from_utf8_lossy(&entry.body).into_owned(), why)),
            }
        }
        let good = entries.len();
        // JSON may need six bytes for one, and the letter has more than its body.
        let kept = KEPT.min(self.log.max_record() / 8);
        for (text, reason) in bad {
            let body = text.chars().take(kept).collect();
            let letter = DeadLetter { source: source.to_owned(), reason, body, at };
            entries.extend(letter.entry().ok());
        }
        if entries.is_empty() {
            return Ok(Tally::default());
        }
        let appended = match self.log.append(entries).await {
            Err(_) if planted(Bug::AckEarly) => return Ok(Tally::default()),
            appended => appended?,
        };
        let duplicates = appended[..good].iter().filter(|one| one.duplicate).count();
        Ok(Tally { accepted: good - duplicates, duplicates, dead_letters: appended.len() - good })
    }
}

/// What is taken must be readable again, and small enough: otherwise it is set aside, and it alone.
fn usable(event: &Envelope<Event>, entry: &Entry, most: usize) -> Result<(), String> {
    if entry.body.len() > most {
        return Err(format!(
            "with its context it has {} bytes; {most} is the limit",
            entry.body.len()
        ));
    }
    // Where it would stand in the log: a server breaks off with whoever sends a longer line.
    let subject = entry.subject.to_string().len();
    if subject > LONGEST_SUBJECT {
        return Err(format!(
            "its type, tenant and target have {subject} bytes together; {LONGEST_SUBJECT} is the limit"
        ));
    }
    match event.subject.to_string().parse::<Target>() {
        Ok(target) if target == event.subject => Ok(()),
        _ => Err("what it is about is no name that can be written: empty, too long, or with control characters".into()),
    }
}
