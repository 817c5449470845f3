//! The escalation shell: it hears decisions and outcomes, records what has to be said, and sends it.

use super::{Dispatch, Input, State, outbox::TRIES, step};
use crate::clock::Clock;
use crate::log::{self, Consumer, Kv, Log, LogError, Policy, Record, Stream};
use crate::model::{
    Contact, Decision, Delivery, Directory, Envelope, Id, IncidentChange, Outcome, PageKey,
    PageStep, Report, Target, kind,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

/// Of its consumer and of its snapshot.
pub const NAME: &str = "escalation";
const ESCALATION: &str = "medevac/escalation";
/// What the state is a fold of.
pub const FOLDED: [Stream; 2] = [Stream::Decisions, Stream::Outcomes];
/// Before a full log is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the shell tells of its work, for metrics.
pub trait Witness: Clone + Send + Sync + 'static {
    fn paged(&self, provider: &'static str, outcome: &'static str);
    fn unanswered(&self, incident: &str);
}

enum Heard {
    Change(Envelope<IncidentChange>),
    Decision(Envelope<Decision>),
    Outcome(Envelope<Outcome>),
}

fn read(record: &Record) -> Option<Heard> {
    match record.stream {
        Stream::Outcomes => record.open().ok().map(Heard::Outcome),
        Stream::Decisions => match record.open::<IncidentChange>() {
            Ok(change) if change.kind == kind::INCIDENT => Some(Heard::Change(change)),
            _ => record.open().ok().map(Heard::Decision),
        },
        Stream::Events | Stream::Plans | Stream::Dead => None,
    }
}

/// What one record means for the state, given the directory in force.
fn take(state: &mut State, directory: &Directory, record: &Record) -> Vec<(String, PageStep)> {
    let now = record.at;
    match read(record) {
        Some(Heard::Change(change)) => {
            let target = change.subject.to_string();
            step(state, directory, &Input::Change(&change.data, &target), now)
        }
        Some(Heard::Decision(decision)) => {
            step(state, directory, &Input::Decision(&decision.data), now)
        }
        Some(Heard::Outcome(Envelope {
            data: Outcome::Remediation { incident, entry, .. },
            ..
        })) => step(state, directory, &Input::Journal { incident: &incident, entry: &entry }, now),
        Some(Heard::Outcome(_)) | None => vec![],
    }
}

/// Runs until the log is gone.
///
/// # Errors
/// Where the log cannot be read or written any more.
pub async fn run<L: Log + Kv>(
    log: L,
    clock: impl Clock,
    directory: watch::Receiver<Arc<Directory>>,
    dispatch: impl Dispatch,
    witness: impl Witness,
) -> Result<(), LogError> {
    let mut consumer = log.consumer(NAME, &FOLDED, Policy::default()).await?;
    let state = recover(&log, consumer.floor()).await?;
    let mut pace = log::Pace::new(state.upto, clock.now());
    let mut room = Room { log, clock, witness, state };
    let mut sending = JoinSet::new();
    let mut busy: Vec<PageKey> = vec![];
    loop {
        let people = Arc::clone(&directory.borrow());
        for (key, page) in room.state.outbox.due(room.clock.now(), &busy) {
            let attempt = PageStep::Attempt { key: key.clone(), attempt: page.attempts + 1 };
            room.record(vec![(key.incident.clone(), attempt)]).await?;
            busy.push(key.clone());
            let contact = people.contacts.get(&key.contact).cloned();
            sending.spawn(send(dispatch.clone(), contact, key, page.report));
        }
        let outbox = room.state.outbox.wake_at().filter(|_| busy.is_empty());
        let wake = outbox.into_iter().chain(room.state.wake_at()).min();
        tokio::select! {
            biased;
            Some(done) = sending.join_next() => {
                let (key, provider, delivery) = done.map_err(|error| LogError::Unavailable(error.to_string()))?;
                busy.retain(|other| *other != key);
                room.delivered(&people, &key, provider, delivery).await?;
            }
            batch = consumer.next(64) => {
                for one in batch? {
                    room.hear(&people, &one.record).await?;
                    consumer.ack(one.record.seq).await?;
                }
            }
            () = room.clock.until(wake) => room.step(&people, &Input::Woke).await?,
            () = room.clock.after(log::Pace::TICK) => {}
        }
        if pace.due(room.state.upto, room.clock.now()) {
            log::save(&room.log, NAME, room.state.upto, &room.state).await?;
        }
    }
}

async fn send(
    dispatch: impl Dispatch,
    contact: Option<Contact>,
    key: PageKey,
    report: Report,
) -> (PageKey, &'static str, Delivery) {
    match contact {
        Some(contact) => {
            let delivery = dispatch.send(&contact, &key, &report).await;
            (key, contact.pager.word(), delivery)
        }
        None => (key, "none", Delivery::Refused("this contact is not defined any more".into())),
    }
}

/// The state at the consumer's floor, with every page step that is recorded: what was said is not said again.
async fn recover<L: Log + Kv>(log: &L, floor: u64) -> Result<State, LogError> {
    let mut state = log::snapshot::<State>(log, NAME).await?.state;
    let from = state.upto;
    let fold = |record: &Record| match read(record) {
        Some(Heard::Outcome(Envelope { data: Outcome::Page { incident, step }, .. })) => {
            state.fold(&incident, &step, record.at);
        }
        // The cases are gathered again; what was decided then stands in the log as page steps.
        _ if record.seq <= floor => drop(take(&mut state, &Directory::default(), record)),
        _ => {}
    };
    log::replay(log, from, &FOLDED, fold).await?;
    state.upto = state.upto.max(floor);
    Ok(state)
}

/// What the shell works with.
struct Room<L, C, W> {
    log: L,
    clock: C,
    witness: W,
    state: State,
}

impl<L: Log, C: Clock, W: Witness> Room<L, C, W> {
    async fn hear(&mut self, people: &Directory, record: &Record) -> Result<(), LogError> {
        if record.seq <= self.state.upto {
            return Ok(());
        }
        self.state.upto = record.seq;
        let said = take(&mut self.state, people, record);
        self.record(said).await
    }

    async fn step(&mut self, people: &Directory, input: &Input<'_>) -> Result<(), LogError> {
        let said = step(&mut self.state, people, input, self.clock.now());
        self.record(said).await
    }

    async fn delivered(
        &mut self,
        people: &Directory,
        key: &PageKey,
        provider: &'static str,
        delivery: Delivery,
    ) -> Result<(), LogError> {
        let incident = key.incident.clone();
        let trace = self.state.case(&incident).map(|case| case.traceparent.clone());
        let span = tracing::info_span!("incident", incident, traceparent = trace);
        match delivery {
            Delivery::Accepted(reference) => {
                self.witness.paged(provider, "accepted");
                let step = PageStep::Delivered { key: key.clone(), reference };
                self.record(vec![(incident, step)]).await
            }
            Delivery::Retry { after, why } if self.state.outbox.attempts(key) < TRIES => {
                tracing::warn!(parent: &span, contact = key.contact, why, "the page was not taken; again soon");
                self.witness.paged(provider, "retried");
                self.state.outbox.postpone(key, after, self.clock.now());
                Ok(())
            }
            Delivery::Retry { why, .. } | Delivery::Refused(why) => {
                tracing::error!(parent: &span, contact = key.contact, why, "the page cannot be delivered");
                self.witness.paged(provider, "refused");
                let step = PageStep::Undelivered { key: key.clone(), why };
                self.record(vec![(incident, step)]).await?;
                self.step(people, &Input::Undelivered(key)).await
            }
        }
    }

    /// Makes `said` durable, however long that takes, and takes it in.
    async fn record(&mut self, said: Vec<(String, PageStep)>) -> Result<(), LogError> {
        if said.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let entry = |(incident, step): &(String, PageStep)| {
            let target = self.state.target(incident);
            let text = serde_json::to_string(step).unwrap_or_default();
            let id = Id::of(&["page", incident, &text]);
            let data = Outcome::Page { incident: incident.clone(), step: step.clone() };
            let mut envelope = Envelope::new(kind::PAGE, id, ESCALATION, target, now, data);
            envelope.traceparent = self.state.case(incident).map(|case| case.traceparent.clone());
            log::Entry::of(Stream::Outcomes, &envelope)
        };
        let entries: Vec<log::Entry> = said.iter().map(entry).collect();
        let pause = || self.clock.after(AGAIN);
        log::insist(&self.log, entries, "pages wait", pause).await?;
        for (incident, step) in &said {
            if let PageStep::Unanswered { why, .. } = step {
                // Another road than the pagers: the daemon's own log, and a metric that an alert watches.
                tracing::error!(incident, why, "NOBODY ANSWERS");
                self.witness.unanswered(incident);
            }
            self.state.fold(incident, step, now);
        }
        Ok(())
    }
}

impl State {
    fn target(&self, incident: &str) -> Target {
        self.case(incident)
            .and_then(|case| case.target.parse().ok())
            .unwrap_or_else(|| Target::Other { kind: "incident".into(), name: incident.into() })
    }
}
