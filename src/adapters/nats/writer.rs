//! What has one writer: decisions, plans and outcomes, in atomic batches behind a fence.
//!
//! One task sends one batch at a time: the server refuses a second one that asks after the same fence while
//! the first is on its way. What queues up meanwhile goes together.

use super::link::Link;
use super::publish::{self, Ack, Message, Trouble, patiently};
use super::streams::{FENCE, LOG};
use crate::log::{Appended, Entry, LogError, Seq};
use async_nats::HeaderMap;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, oneshot};

pub(super) struct Append {
    pub(super) entries: Vec<Entry>,
    /// The position of the fence that must still be the last one.
    pub(super) fence: Option<Seq>,
    pub(super) reply: oneshot::Sender<Result<Vec<Appended>, LogError>>,
}

/// The server takes a thousand messages in a batch (ADR-50).
const LARGEST: usize = 1000;
/// Entries that are gathered while a batch is on its way.
const GATHER: usize = 500;

pub(super) fn message(entry: &Entry) -> Message {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", entry.id.as_str());
    Message { subject: entry.subject.to_string(), headers, body: entry.body.clone() }
}

pub(super) async fn run(link: Link, told: impl Fn(Seq), mut inbox: mpsc::Receiver<Append>) {
    let mut waiting = None;
    loop {
        let first = match waiting.take() {
            Some(first) => first,
            None => match inbox.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let (fence, mut gathered) = (first.fence, first.entries.len());
        let mut group = vec![first];
        while gathered < GATHER
            && let Ok(next) = inbox.try_recv()
        {
            if next.fence != fence || gathered + next.entries.len() > LARGEST {
                waiting = Some(next);
                break;
            }
            gathered += next.entries.len();
            group.push(next);
        }
        let entries: Vec<&Entry> = group.iter().flat_map(|append| &append.entries).collect();
        let written = write(&link, &entries, fence).await;
        if let Ok(appended) = &written {
            appended.iter().for_each(|one| told(one.seq));
        }
        answer(group, written);
    }
}

/// To each what is his. A caller who went away needs no answer.
fn answer(group: Vec<Append>, written: Result<Vec<Appended>, LogError>) {
    let mut from = 0;
    for append in group {
        let upto = from + append.entries.len();
        let own = written.as_ref().map(|all| all[from..upto].to_vec()).map_err(Clone::clone);
        drop(append.reply.send(own));
        from = upto;
    }
}

/// Writes each id once; a batch that is too large for the server goes in several.
async fn write(
    link: &Link,
    entries: &[&Entry],
    fence: Option<Seq>,
) -> Result<Vec<Appended>, LogError> {
    let mut known: BTreeMap<&str, Appended> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let fresh: Vec<&Entry> =
        entries.iter().copied().filter(|entry| seen.insert(entry.id.as_str())).collect();
    for chunk in fresh.chunks(LARGEST) {
        let appended = atomically(link, chunk, fence).await.map_err(|trouble| match trouble {
            Trouble::Wrong(0) if fence.is_some() => {
                LogError::Unavailable("the fence has gone with old age; it is set anew".into())
            }
            Trouble::Wrong(_) if fence.is_some() => LogError::Fenced,
            other => other.told(),
        })?;
        known.extend(chunk.iter().map(|entry| entry.id.as_str()).zip(appended));
    }
    seen.clear();
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = entry.id.as_str();
        let found = known.get(id).copied().unwrap_or(Appended { seq: 0, duplicate: false });
        all.push(Appended { duplicate: found.duplicate || !seen.insert(id), ..found });
    }
    Ok(all)
}

/// One batch. An answer that was lost is found again by the ids: the whole batch is there, or none of it.
async fn atomically(
    link: &Link,
    entries: &[&Entry],
    fence: Option<Seq>,
) -> Result<Vec<Appended>, Trouble> {
    let mut messages: Vec<Message> = entries.iter().map(|entry| message(entry)).collect();
    if let (Some(fence), Some(first)) = (fence, messages.first_mut()) {
        first.headers.insert("Nats-Expected-Last-Subject-Sequence", fence.to_string());
        first.headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", FENCE);
    }
    let sent = patiently(|| publish::batch(link, &messages)).await;
    match sent {
        Ok(Ack { seq, duplicate }) => {
            let first = seq + 1 - entries.len() as Seq;
            Ok((first..=seq).map(|seq| Appended { seq, duplicate }).collect())
        }
        Err(Trouble::Known) => {
            let mut all = vec![];
            let mut missing = vec![];
            for entry in entries {
                let seq = known(link, entry).await?;
                all.push(seq.map(|seq| Appended { seq, duplicate: true }));
                missing.extend(seq.is_none().then_some(*entry));
            }
            let written = match missing.is_empty() {
                true => vec![],
                false => Box::pin(atomically(link, &missing, fence)).await?,
            };
            let mut written = written.into_iter();
            Ok(all.into_iter().filter_map(|one| one.or_else(|| written.next())).collect())
        }
        Err(trouble) => Err(trouble),
    }
}

/// Where that id is within the duplicate window. A message that expects what cannot be is written never; but
/// the server looks for its id first, if the expectation is of the right kind (nats-server 2.15, `stream.go`
/// and `jetstream_batching.go`): a replicated stream compares sequences before it proposes, a single one ids last.
async fn known(link: &Link, entry: &Entry) -> Result<Option<Seq>, Trouble> {
    let info = link.stream(LOG).await?.get_info().await.map_err(|error| publish::again(&error))?;
    let mut probe = message(entry);
    match info.config.num_replicas > 1 {
        true => probe.headers.insert("Nats-Expected-Last-Sequence", "9007199254740991"),
        false => probe.headers.insert("Nats-Expected-Last-Msg-Id", "medevac asks"),
    }
    let probe = &probe;
    match patiently(|| publish::one(link, probe)).await {
        Ok(Ack { seq, duplicate: true }) => Ok(Some(seq)),
        Ok(Ack { .. }) => Err(Trouble::No("a probe was written".into())),
        Err(Trouble::Wrong(_)) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}
