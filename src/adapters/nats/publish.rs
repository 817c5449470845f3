//! One message or one atomic batch to JetStream: what the server answered, and whether trying again may help.

use super::link::Link;
use super::streams::LOG;
use crate::log::{LogError, Seq};
use async_nats::jetstream::{
    consumer::{PullConsumer, pull},
    stream::Stream,
};
use async_nats::{HeaderMap, Request, client::RequestErrorKind};
use serde::Deserialize;
use std::time::Duration;

/// A server that has not answered by then is in an election or gone: the same message is sent again.
const ANSWER: Duration = Duration::from_secs(2);
/// How long an election may take before the caller is told. Less than any sender of webhooks waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(400);

pub(super) struct Message {
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A positive answer. Of a batch, `seq` is the last one's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ack {
    pub(super) seq: Seq,
    pub(super) duplicate: bool,
}

/// A negative answer, or none.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The same again may go well in a moment.
    Again(String),
    Full(String),
    Denied(String),
    TooLarge(usize),
    /// The expected sequence is not the last one; this one is.
    Wrong(Seq),
    /// An atomic batch holds an id that is there already.
    Known,
    No(String),
}

impl Trouble {
    pub(super) fn told(self) -> LogError {
        match self {
            Trouble::Full(why) => LogError::Full(why),
            Trouble::Denied(why) => LogError::Denied(why),
            Trouble::TooLarge(size) => LogError::TooLarge { size, limit: 0 },
            Trouble::Wrong(_) => LogError::Conflict,
            Trouble::Again(why) | Trouble::No(why) => LogError::Unavailable(why),
            Trouble::Known => LogError::Unavailable("an id of the batch is there already".into()),
        }
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    seq: Seq,
    #[serde(default)]
    duplicate: bool,
    error: Option<Fault>,
}

/// Numbers and words: nats-server, `server/errors.json`.
#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Fault {
    fn trouble(self) -> Trouble {
        let why = self.description;
        match self.err_code {
            // Resources, storage, account limits.
            10002 | 10023 | 10028 | 10047 => Trouble::Full(why),
            // "maximum bytes exceeded" and its like; anything else that a store says may pass.
            10077 if why.contains("maximum") => Trouble::Full(why),
            10054 => Trouble::TooLarge(0),
            10070 => Trouble::Wrong(0),
            10071 => {
                let last = why.rsplit(' ').next().and_then(|last| last.parse().ok());
                Trouble::Wrong(last.unwrap_or_default())
            }
            10201 => Trouble::Known,
            // In flight: the same subject, the same id, too many batches. An incomplete batch lost its start.
            10158 | 10164 | 10176 | 10210 => Trouble::Again(why),
            // No leader, not ready, an internal fault of the moment.
            10008 | 10009 | 10010 | 10014 | 10077 => Trouble::Again(why),
            _ => Trouble::No(why),
        }
    }
}

/// Sends one message and waits for its acknowledgement.
pub(super) async fn one(link: &Link, message: &Message) -> Result<Ack, Trouble> {
    let request = Request::new()
        .headers(message.headers.clone())
        .payload(message.body.clone().into())
        .timeout(Some(ANSWER));
    let answer = link.client.send_request(message.subject.clone(), request).await;
    link.answered(answer.is_ok()).await;
    let reply = match answer {
        Ok(reply) => reply,
        Err(error) => {
            return Err(match error.kind() {
                RequestErrorKind::MaxPayloadExceeded => Trouble::TooLarge(message.body.len()),
                RequestErrorKind::NoResponders => Trouble::Again("no stream answers".into()),
                RequestErrorKind::InvalidSubject => Trouble::No("not a subject".into()),
                RequestErrorKind::TimedOut | RequestErrorKind::Other => {
                    match link.health.denied(&message.subject) {
                        Some(why) => Trouble::Denied(why),
                        None => Trouble::Again(error.to_string()),
                    }
                }
            });
        }
    };
    let reply: Reply = serde_json::from_slice(&reply.payload)
        .map_err(|_| Trouble::Again("the server's answer cannot be read".into()))?;
    match reply.error {
        Some(fault) => Err(fault.trouble()),
        None => Ok(Ack { seq: reply.seq, duplicate: reply.duplicate }),
    }
}

/// Sends all or none (nats-server 2.12, ADR-50): at most 1,000 messages.
pub(super) async fn batch(link: &Link, messages: &[Message]) -> Result<Ack, Trouble> {
    let [first @ .., last] = messages else {
        return Err(Trouble::No("an empty batch".into()));
    };
    if first.is_empty() {
        return one(link, last).await;
    }
    let inbox = link.client.new_inbox();
    let id = inbox.rsplit('.').next().unwrap_or_default();
    let headed = |message: &Message, number: usize| {
        let mut headers = message.headers.clone();
        headers.insert("Nats-Batch-Id", id);
        headers.insert("Nats-Batch-Sequence", number.to_string());
        headers
    };
    for (number, message) in (1..).zip(first) {
        let sent = link.client.publish_with_headers(
            message.subject.clone(),
            headed(message, number),
            message.body.clone().into(),
        );
        sent.await.map_err(|error| Trouble::Again(error.to_string()))?;
    }
    let mut headers = headed(last, messages.len());
    headers.insert("Nats-Batch-Commit", "1");
    let last = Message { subject: last.subject.clone(), headers, body: last.body.clone() };
    one(link, &last).await
}

/// Tries again while that may help, and gives up after [`PATIENCE`].
pub(super) async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut last = String::new();
    let tries = async {
        let mut wait = FIRST_PAUSE;
        loop {
            match attempt().await {
                Err(Trouble::Again(why)) => last = why,
                other => return other,
            }
            pause(wait).await;
            wait = (wait * 2).min(LAST_PAUSE);
        }
    };
    match tokio::time::timeout(PATIENCE, tries).await {
        Ok(result) => result,
        Err(_) => Err(Trouble::Again(last)),
    }
}

#[expect(clippy::disallowed_methods, reason = "a server is given a moment")]
pub(super) async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

pub(super) fn again(error: &impl std::fmt::Display) -> Trouble {
    Trouble::Again(error.to_string())
}

impl Link {
    /// The stream of that name, without asking the server whether there is one.
    pub(super) async fn stream(&self, name: &str) -> Result<Stream<()>, Trouble> {
        self.jetstream.get_stream_no_info(name).await.map_err(|error| again(&error))
    }

    /// A consumer of the log.
    pub(super) async fn consumer(&self, config: &pull::Config) -> Result<PullConsumer, LogError> {
        let made = patiently(|| async move {
            let made = self.jetstream.create_consumer_on_stream(config.clone(), LOG).await;
            made.map_err(|error| again(&error))
        });
        made.await.map_err(Trouble::told)
    }
}
