//! A queue with what AWS says: received by several, hidden for as long as it is worked on, deleted once the log has it.
//!
//! What is not for us and what cannot be read is handled by policy, and never in a loop: what is left in the queue
//! is hidden longer each time it comes back.

use super::aws::Read;
use super::{Intake, Tally, aws};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::config::{Leftover, QueueSource};
use crate::log::{Kv, Log};
use crate::model::{Envelope, Event, Hook, Target, hook_ends, kind};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::{future::Future, time::Duration};

/// One message as the queue hands it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// By which this receipt of it is extended or deleted.
    pub receipt: String,
    pub body: String,
    /// How often it has been handed out, this time included.
    pub received: u32,
}

/// Why the queue did not do what was asked, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueueError(pub String);

/// A queue with the semantics of SQS: at least once, hidden while somebody has it.
pub trait Queue: Clone + Send + Sync + 'static {
    /// Waits for messages, up to what the queue allows. Empty: none came.
    fn receive(&self) -> impl Future<Output = Result<Vec<Message>, QueueError>> + Send;

    /// Hides what was received for `time` from now.
    fn hide(
        &self,
        receipts: &[String],
        time: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    fn delete(&self, receipts: &[String]) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// How long an Auto Scaling group waits for its hook, where whoever has the queue can tell.
    fn patience(&self, _group: &str, _hook: &str) -> impl Future<Output = Option<Duration>> + Send {
        std::future::ready(None)
    }
}

/// What became of messages, for metrics.
pub trait Witness: Clone + Send + Sync + 'static {
    fn received(&self, tally: &Tally);
    /// `what` is `foreign`, `left` or `not_accepted`.
    fn passed_over(&self, what: &'static str, count: usize);
}

/// Before a queue that does not answer is asked again: doubled up to the longest.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// What is left in the queue comes back after a second, then after two, up to this.
const LEFT_MOST: Duration = Duration::from_secs(900);

/// Receives for as long as the process lives. As many of these run beside each other as the configuration says.
pub async fn run<Q: Queue, L: Log + Kv, C: Clock, V: ClusterView>(
    queue: Q,
    source: QueueSource,
    intake: Intake<L, C, V>,
    witness: impl Witness,
) {
    let desk = Desk { queue, source, intake, witness };
    let mut failures = 0;
    loop {
        match desk.queue.receive().await {
            Ok(messages) => {
                failures = 0;
                if !messages.is_empty() {
                    desk.handle(messages).await;
                }
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, queue = desk.source.url, "the queue cannot be read; it is tried again");
                }
                failures += 1;
                let pause = AGAIN.saturating_mul(1 << failures.min(6)).min(AGAIN_MOST);
                desk.intake.clock.after(pause).await;
            }
        }
    }
}

struct Desk<Q, L, C, V, W> {
    queue: Q,
    source: QueueSource,
    intake: Intake<L, C, V>,
    witness: W,
}

/// What a batch has to be sorted into.
#[derive(Default)]
struct Sorted {
    events: Vec<Envelope<Event>>,
    /// Text and reason.
    broken: Vec<(String, String)>,
    /// Receipts of what is deleted once the log has it.
    done: Vec<String>,
    /// Receipts of what stays in the queue, each with how long it is hidden.
    left: Vec<(String, Duration)>,
    foreign: usize,
}

impl<Q: Queue, L: Log + Kv, C: Clock, V: ClusterView, W: Witness> Desk<Q, L, C, V, W> {
    /// What was received, made durable and deleted. It returns in the end, whatever the queue says.
    async fn handle(&self, messages: Vec<Message>) {
        let mut sorted = self.sort(messages, self.intake.clock.now());
        let hooks = sorted.events.iter_mut().filter(|event| event.kind == kind::LIFECYCLE);
        join_all(hooks.map(|event| self.hooked(event))).await;
        self.witness.passed_over("foreign", sorted.foreign);
        self.witness.passed_over("left", sorted.left.len());
        for (receipt, time) in &sorted.left {
            self.try_hide(std::slice::from_ref(receipt), *time).await;
        }
        if sorted.events.is_empty() && sorted.broken.is_empty() {
            return self.delete(&sorted.done).await;
        }
        let tally = self.insist(&sorted).await;
        self.witness.received(&tally);
        self.delete(&sorted.done).await;
    }

    /// What the group says of its hook: a rule may ask for it, and it is the deadline.
    async fn hooked(&self, event: &mut Envelope<Event>) {
        let cloud = &mut event.data.context.cloud;
        let Some(hook) = Hook::of(cloud) else { return };
        let Some(patience) = self.queue.patience(&hook.group, &hook.name).await else { return };
        cloud.insert("patience".into(), patience.as_secs().to_string());
        event.deadline = event.time.checked_add(hook_ends(patience)).ok();
    }

    fn sort(&self, messages: Vec<Message>, now: Timestamp) -> Sorted {
        let mut sorted = Sorted::default();
        for Message { receipt, body, received } in messages {
            let hidden = Duration::from_secs(1 << received.clamp(1, 10)).min(LEFT_MOST);
            match aws::read(body.as_bytes(), now) {
                Ok(Read::Events(events)) if self.concerns_us(&events) => {
                    sorted.events.extend(events);
                    sorted.done.push(receipt);
                }
                Ok(other) => {
                    sorted.foreign += 1;
                    if let Read::Foreign(what) = &other {
                        tracing::debug!(what, "passed over: it is not for us");
                    }
                    match self.source.foreign {
                        Leftover::Delete => sorted.done.push(receipt),
                        Leftover::Leave => sorted.left.push((receipt, hidden)),
                    }
                }
                Err(bad) => match self.source.broken {
                    Leftover::Delete => {
                        sorted.broken.push((body, bad.0));
                        sorted.done.push(receipt);
                    }
                    Leftover::Leave => {
                        tracing::debug!(why = bad.0, "left in the queue: it cannot be read");
                        sorted.left.push((receipt, hidden));
                    }
                },
            }
        }
        sorted
    }

    /// In a queue that others read as well, what is about machines that are no nodes of ours is theirs: until one of
    /// them joins, when it comes back.
    fn concerns_us(&self, events: &[Envelope<Event>]) -> bool {
        let ours = |event: &Envelope<Event>| match &event.subject {
            Target::Instance(id) => self.intake.view.node_named(id).is_some(),
            _ => true,
        };
        self.source.foreign == Leftover::Delete || events.iter().any(ours)
    }

    /// Makes the batch durable, however long the log takes, and keeps it hidden meanwhile.
    async fn insist(&self, sorted: &Sorted) -> Tally {
        let mut failures = 0;
        loop {
            let taken = self.intake.queued(sorted.events.clone(), sorted.broken.clone());
            let error = match self.hidden(&sorted.done, taken).await {
                Ok(tally) => return tally,
                Err(error) => error,
            };
            if failures == 0 {
                tracing::warn!(%error, queue = self.source.url, "not taken; the messages are kept until they are");
            }
            failures += 1;
            self.witness.passed_over("not_accepted", sorted.done.len());
            let pause = AGAIN.saturating_mul(1 << failures.min(3));
            self.hidden(&sorted.done, self.intake.clock.after(pause)).await;
        }
    }

    /// Does `work`, and extends the time for which the messages are hidden while it lasts.
    async fn hidden<T>(&self, receipts: &[String], work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.intake.clock.after(self.source.visibility / 2) => {
                    self.try_hide(receipts, self.source.visibility).await;
                }
            }
        }
    }

    async fn try_hide(&self, receipts: &[String], time: Duration) {
        if let Err(error) = self.queue.hide(receipts, time).await {
            tracing::debug!(%error, "the messages may come again sooner");
        }
    }

    /// A message that is not deleted comes again, and is known then.
    async fn delete(&self, receipts: &[String]) {
        if receipts.is_empty() {
            return;
        }
        if let Err(error) = self.queue.delete(receipts).await {
            tracing::warn!(%error, queue = self.source.url, "what is done with was not deleted; it comes again");
        }
    }
}
