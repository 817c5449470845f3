//! Where durable consumers stand, over all their lives.

use super::Nats;
use super::publish::{Trouble, again, patiently};
use super::streams::{LOG, all_of};
use crate::log::{LogError, Place, Policy, Seq, Stream};
use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use futures_util::TryStreamExt;
use std::collections::BTreeMap;

/// Records that may be in hand.
const PENDING: i64 = 4096;

/// What earlier lives left behind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    pub(super) floor: Seq,
    pub(super) handed_out: Seq,
    /// How often everything after the floor and up to `handed_out` was handed out.
    pub(super) tries: u32,
}

/// Begins a new life of the consumer, where the last one stopped.
pub(super) async fn begin(
    log: &Nats,
    name: &str,
    streams: &[Stream],
    policy: Policy,
) -> Result<(PullConsumer, Past), LogError> {
    let lives = lives(log, name).await?;
    let past = lives.last().map(|(_, info)| past(info)).unwrap_or_default();
    let number = lives.last().map_or(0, |(number, _)| *number) + 1;
    let config = config(name, number, streams, policy, past);
    let jetstream = &log.inner.link.jetstream;
    let consumer = log.inner.link.consumer(&config).await?;
    for (old, _) in lives {
        // One that stays is found and removed by the next life.
        if let Err(error) = jetstream.delete_consumer_from_stream(&life(name, old), LOG).await {
            tracing::debug!(%error, name, "the consumer of an earlier life stays for now");
        }
    }
    Ok((consumer, past))
}

fn life(name: &str, number: u64) -> String {
    format!("{name}-{number}")
}

/// The consumers that lives before this one have left, oldest first.
async fn lives(log: &Nats, name: &str) -> Result<Vec<(u64, jetstream::consumer::Info)>, LogError> {
    let link = &log.inner.link;
    let found = patiently(|| async move {
        let stream = link.stream(LOG).await?;
        let mut names = stream.consumer_names();
        let mut found = vec![];
        while let Some(one) = names.try_next().await.map_err(|error| again(&error))? {
            let number =
                one.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')?.parse().ok());
            let Some(number) = number else { continue };
            match stream.consumer_info(&one).await {
                Ok(info) => found.push((number, info)),
                // It went between the list and the question.
                Err(error) if error.to_string().contains("not found") => {}
                Err(error) => return Err(again(&error)),
            }
        }
        Ok(found)
    });
    let mut found: Vec<(u64, _)> = found.await.map_err(Trouble::told)?;
    found.sort_by_key(|(number, _)| *number);
    Ok(found)
}

fn past(info: &jetstream::consumer::Info) -> Past {
    let number =
        |key: &str| info.config.metadata.get(key).and_then(|text| text.parse::<u64>().ok());
    let start = match info.config.deliver_policy {
        DeliverPolicy::ByStartSequence { start_sequence } => start_sequence.saturating_sub(1),
        _ => 0,
    };
    let floor = info.ack_floor.stream_sequence.max(start);
    let before = number("medevac-handed-out").unwrap_or_default();
    let tries = number("medevac-tries").filter(|_| before > floor).unwrap_or_default();
    let handed_out = info.delivered.stream_sequence;
    let died = handed_out > floor;
    Past {
        floor,
        handed_out: handed_out.max(before),
        tries: u32::try_from(tries).unwrap_or(u32::MAX).saturating_add(u32::from(died)),
    }
}

fn config(name: &str, number: u64, streams: &[Stream], policy: Policy, past: Past) -> pull::Config {
    let note = |key: &str, value: String| (key.to_owned(), value);
    pull::Config {
        durable_name: Some(life(name, number)),
        description: Some(format!("medevac: {name}")),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: past.floor + 1 },
        ack_policy: AckPolicy::Explicit,
        ack_wait: policy.ack_wait,
        // What is delivered too often is buried by the reader, with its reason.
        max_deliver: -1,
        filter_subjects: streams.iter().map(|stream| all_of(*stream)).collect(),
        max_ack_pending: PENDING,
        metadata: [
            note("medevac-handed-out", past.handed_out.to_string()),
            note("medevac-tries", past.tries.to_string()),
        ]
        .into(),
        ..pull::Config::default()
    }
}

/// Where the durable consumers stand.
pub(super) async fn all(log: &Nats) -> Result<Vec<Place>, LogError> {
    let link = &log.inner.link;
    let found = patiently(|| async move {
        let stream = link.stream(LOG).await?;
        let mut consumers = stream.consumers();
        let mut newest: BTreeMap<String, (u64, Seq)> = BTreeMap::new();
        while let Some(info) = consumers.try_next().await.map_err(|error| again(&error))? {
            let Some((name, number)) = info.name.rsplit_once('-') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            if info.config.durable_name.is_none()
                || !info.config.metadata.contains_key("medevac-tries")
            {
                continue;
            }
            let place = newest.entry(name.to_owned()).or_default();
            if number >= place.0 {
                *place = (number, past(&info).floor);
            }
        }
        Ok(newest)
    });
    let newest = found.await.map_err(Trouble::told)?;
    Ok(newest.into_iter().map(|(consumer, (_, floor))| Place { consumer, floor }).collect())
}

/// Puts a consumer that nobody reads at `place`.
pub(super) async fn put(log: &Nats, place: &Place) -> Result<(), LogError> {
    let lives = lives(log, &place.consumer).await?;
    let number = lives.last().map_or(0, |(number, _)| *number) + 1;
    let past = Past { floor: place.floor, ..Past::default() };
    let config = config(&place.consumer, number, &[Stream::Events], Policy::default(), past);
    log.inner.link.consumer(&config).await.map(|_| ())
}
