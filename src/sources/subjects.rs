//! Other people's events on NATS: a durable consumer of their stream, or a plain subscription.
//!
//! A message of a stream is acknowledged once the log has it. A plain message has nobody who would send it
//! again: it is answered with what became of it, where an answer is wanted.

use super::Intake;
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::config::SubjectSource;
use crate::log::{Kv, Log};
use async_nats::{
    Client, HeaderMap,
    jetstream::{self, AckKind, consumer::pull},
};
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use std::{error::Error, time::Duration};

/// Before a subject that cannot be read is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Before a message that the log did not take comes again.
const LATER: Duration = Duration::from_secs(2);

type Failed = Box<dyn Error + Send + Sync>;

/// Reads the subject for as long as the process lives. Every replica does: each message goes to one of them.
pub async fn run<L: Log + Kv, C: Clock, V: ClusterView>(
    client: Client,
    source: SubjectSource,
    intake: Intake<L, C, V>,
) {
    loop {
        let ended = match &source.stream {
            Some(stream) => durable(&client, stream, &source, &intake).await,
            None => plain(&client, &source, &intake).await,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, source = source.name, subject = source.subject, "the source cannot be read; tried again soon");
        }
        intake.clock.after(AGAIN).await;
    }
}

async fn durable<L: Log + Kv, C: Clock, V: ClusterView>(
    client: &Client,
    stream: &str,
    source: &SubjectSource,
    intake: &Intake<L, C, V>,
) -> Result<(), Failed> {
    let jetstream = jetstream::new(client.clone());
    let name = format!("medevac-{}", source.name);
    let config = pull::Config {
        durable_name: Some(name.clone()),
        description: Some("medevac: a source of events".into()),
        filter_subject: source.subject.clone(),
        ..pull::Config::default()
    };
    let stream = jetstream.get_stream_no_info(stream).await?;
    let consumer = stream.get_or_create_consumer(&name, config).await?;
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let headers = attributes(message.headers.as_ref());
        let from = format!("nats/{}", source.name);
        match intake.message(&from, &source.format, headers, &message.payload).await {
            Ok(_) => message.ack().await?,
            Err(error) => {
                tracing::warn!(%error, source = source.name, "not taken; it comes again");
                message.ack_with(AckKind::Nak(Some(LATER))).await?;
            }
        }
    }
    Ok(())
}

async fn plain<L: Log + Kv, C: Clock, V: ClusterView>(
    client: &Client,
    source: &SubjectSource,
    intake: &Intake<L, C, V>,
) -> Result<(), Failed> {
    let group = format!("medevac-{}", source.name);
    let mut messages = client.queue_subscribe(source.subject.clone(), group).await?;
    while let Some(message) = messages.next().await {
        let headers = attributes(message.headers.as_ref());
        let from = format!("nats/{}", source.name);
        let taken = intake.message(&from, &source.format, headers, &message.payload).await;
        let answer = match &taken {
            Ok(tally) => json!(tally),
            Err(error) => {
                tracing::warn!(%error, source = source.name, "a message is lost: nobody sends it again");
                json!({ "error": error.to_string() })
            }
        };
        if let Some(reply) = message.reply {
            client.publish(reply, answer.to_string().into()).await?;
        }
    }
    Ok(())
}

/// Headers as CloudEvents' NATS binding names them: `ce-id`, `content-type`.
fn attributes(headers: Option<&HeaderMap>) -> Map<String, Value> {
    let all = headers.into_iter().flat_map(HeaderMap::iter);
    all.filter_map(|(name, values)| {
        let name = name.to_string().to_ascii_lowercase();
        Some((name, Value::String(values.first()?.to_string())))
    })
    .collect()
}
