//! The escalation shell: it hears decisions and outcomes, records what has to be said, and sends it.

use super::{Dispatch, Input, State, outbox::TRIES, step};
use crate::clock::Clock;
use crate::log::{self, Consumer, Fold, Kv, Log, LogError, Policy, Record, Stream};
use crate::model::{
    Contact, Decision, Delivery, Directory, Envelope, Id, IncidentChange, Outcome, PageKey, PageStep, Report, Target, kind,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

const NAME: &str = "escalation";
const ESCALATION: &str = "medevac/escalation";
const STREAMS: [Stream; 2] = [Stream::Decisions, Stream::Outcomes];
const SNAPSHOT_EVERY: u64 = 10_000;

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
        Some(Heard::Decision(decision)) => step(state, directory, &Input::Decision(&decision.data), now),
        Some(Heard::Outcome(Envelope { data: Outcome::Remediation { incident, entry, .. }, .. })) => {
            step(state, directory, &Input::Journal { incident: &incident, entry: &entry }, now)
        }
        Some(Heard::Outcome(_)) | None => vec![],
    }
}

impl Fold for State {
    /// On replay the cases are gathered again; what was decided then stands in the log as page steps.
    fn fold(&mut self, record: &Record) {
        if record.seq <= self.upto {
            return;
        }
        self.upto = record.seq;
        if let Some(Heard::Outcome(Envelope { data: Outcome::Page { incident, step }, .. })) = read(record) {
            State::fold(self, &incident, &step, record.at);
        } else {
            let said = take(self, &Directory::default(), record);
            tracing::trace!(said = said.len(), "already answered");
        }
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
    let mut consumer = log.consumer(NAME, &STREAMS, Policy::default()).await?;
    let floor = consumer.floor();
    let mut state = recover(&log, floor).await?;
    let mut saved = state.upto;
    let mut sending: JoinSet<(PageKey, &'static str, Delivery)> = JoinSet::new();
    let mut busy: Vec<PageKey> = vec![];
    loop {
        let people = Arc::clone(&directory.borrow());
        for (key, page) in state.outbox.due(clock.now(), &busy) {
            let attempt = PageStep::Attempt { key: key.clone(), attempt: page.attempts + 1 };
            record(&log, &clock, &mut state, &witness, vec![(key.incident.clone(), attempt)]).await?;
            busy.push(key.clone());
            let contact = people.contacts.get(&key.contact).cloned();
            sending.spawn(send(dispatch.clone(), contact, key, page.report));
        }
        let wake = state.outbox.wake_at().filter(|_| busy.is_empty()).into_iter().chain(state.wake_at()).min();
        tokio::select! {
            biased;
            Some(done) = sending.join_next() => {
                let (key, provider, delivery) = done.map_err(|error| LogError::Unavailable(error.to_string()))?;
                busy.retain(|other| *other != key);
                let said = delivered(&mut state, &key, provider, delivery, &witness, clock.now());
                let undelivered = said.iter().any(|(_, step)| matches!(step, PageStep::Undelivered { .. }));
                record(&log, &clock, &mut state, &witness, said).await?;
                if undelivered {
                    let said = step(&mut state, &people, &Input::Undelivered(&key), clock.now());
                    record(&log, &clock, &mut state, &witness, said).await?;
                }
            }
            batch = consumer.next(64) => {
                for one in batch? {
                    let fresh = one.record.seq > state.upto;
                    state.upto = state.upto.max(one.record.seq);
                    if fresh {
                        let said = take(&mut state, &people, &one.record);
                        record(&log, &clock, &mut state, &witness, said).await?;
                    }
                    consumer.ack(one.record.seq).await?;
                }
                if state.upto >= saved + SNAPSHOT_EVERY {
                    log::save(&log, NAME, state.upto, &state).await?;
                    saved = state.upto;
                }
            }
            () = clock.until(wake) => {
                let said = step(&mut state, &people, &Input::Woke, clock.now());
                record(&log, &clock, &mut state, &witness, said).await?;
            }
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
    let snapshot = Kv::get(log, "snapshots", NAME).await?;
    let saved = snapshot.and_then(|entry| serde_json::from_slice::<log::Saved<State>>(&entry.value).ok());
    let mut state = saved.map(|saved| saved.state).unwrap_or_default();
    let mut at = state.upto;
    loop {
        let page = log.read(at, &STREAMS, 1024).await?;
        for record in &page {
            at = record.seq;
            match read(record) {
                Some(Heard::Outcome(Envelope { data: Outcome::Page { incident, step }, .. })) => {
                    State::fold(&mut state, &incident, &step, record.at);
                }
                _ if record.seq <= floor => drop(take(&mut state, &Directory::default(), record)),
                _ => {}
            }
        }
        if page.len() < 1024 {
            state.upto = state.upto.max(floor);
            return Ok(state);
        }
    }
}

fn delivered(
    state: &mut State,
    key: &PageKey,
    provider: &'static str,
    delivery: Delivery,
    witness: &impl Witness,
    now: jiff::Timestamp,
) -> Vec<(String, PageStep)> {
    let tries = state.outbox.due(now, &[]).iter().find(|(other, _)| other == key).map_or(TRIES, |(_, page)| page.attempts);
    let (outcome, step) = match delivery {
        Delivery::Accepted(reference) => ("accepted", Some(PageStep::Delivered { key: key.clone(), reference })),
        Delivery::Retry { after, why } if tries < TRIES => {
            tracing::warn!(contact = key.contact, why, "the page was not taken; again soon");
            state.outbox.postpone(key, after, now);
            ("retried", None)
        }
        Delivery::Retry { why, .. } | Delivery::Refused(why) => {
            tracing::error!(contact = key.contact, why, "the page cannot be delivered");
            ("refused", Some(PageStep::Undelivered { key: key.clone(), why }))
        }
    };
    witness.paged(provider, outcome);
    step.map(|step| (key.incident.clone(), step)).into_iter().collect()
}

async fn record(
    log: &impl Log,
    clock: &impl Clock,
    state: &mut State,
    witness: &impl Witness,
    said: Vec<(String, PageStep)>,
) -> Result<(), LogError> {
    if said.is_empty() {
        return Ok(());
    }
    let now = clock.now();
    let entry = |(incident, step): &(String, PageStep)| {
        let target = state.target(incident);
        let said = serde_json::to_string(step).unwrap_or_default();
        let id = Id::of(&["page", incident, &said]);
        let data = Outcome::Page { incident: incident.clone(), step: step.clone() };
        log::Entry::of(Stream::Outcomes, &Envelope::new(kind::PAGE, id, ESCALATION, target, now, data))
    };
    let entries: Vec<log::Entry> = said.iter().map(entry).collect();
    loop {
        match log.append(entries.clone()).await {
            Ok(_) => break,
            Err(error @ LogError::Full(_)) => {
                tracing::error!(%error, "pages wait until the log has room");
                clock.after(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error),
        }
    }
    for (incident, step) in &said {
        if let PageStep::Unanswered { why, .. } = step {
            // Another road than the pagers: the daemon's own log and a metric that an alert watches.
            tracing::error!(incident, why, "NOBODY ANSWERS");
            witness.unanswered(incident);
        }
        State::fold(state, incident, step, now);
    }
    Ok(())
}

impl State {
    fn target(&self, incident: &str) -> Target {
        self.case(incident)
            .and_then(|case| case.target.parse().ok())
            .unwrap_or_else(|| Target::Other { kind: "incident".into(), name: incident.into() })
    }
}
