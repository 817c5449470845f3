//! The daemons' HTTP port, as its callers see it: one address, behind which one of the replicas answers.

use super::hands::Ports;
use super::memory::Memory;
use super::stage::Stage;
use super::time::Watch;
use crate::clock::Clock;
use crate::log::LogError;
use crate::model::{Envelope, Event, Id, Target, kind};
use crate::sources::{Intake, Received, Tally};
use serde_json::{Map, Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A caller gives up after so long.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Door = Intake<Memory, Watch, Ports>;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turned {
    /// 4xx: it will never be taken.
    Bad(String),
    /// 503, no answer, nobody there: it may be sent again.
    Later,
}

#[derive(Clone)]
pub(super) struct Service {
    pub(super) stage: Arc<Stage>,
    /// The replicas that run.
    doors: Arc<Mutex<Vec<(u32, Door)>>>,
    next: Arc<Mutex<usize>>,
}

impl Service {
    pub(super) fn new(stage: Arc<Stage>) -> Service {
        Service { stage, doors: Arc::default(), next: Arc::default() }
    }

    pub(super) fn open(&self, life: u32, door: Door) {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).push((life, door));
    }

    pub(super) fn close(&self, life: u32) {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| *of != life);
    }

    /// One replica after the other.
    fn door(&self) -> Option<Door> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = next.wrapping_add(1);
        let at = *next % doors.len().max(1);
        doors.get(at).map(|(_, door)| door.clone())
    }

    async fn ask<E: Into<Turned>>(
        &self,
        asked: impl Future<Output = Result<Tally, E>>,
    ) -> Result<Tally, Turned> {
        tokio::select! {
            biased;
            answer = asked => answer.map_err(Into::into),
            () = self.stage.time.after(TIMEOUT) => Err(Turned::Later),
        }
    }

    pub(super) async fn alertmanager(&self, body: &[u8]) -> Result<Tally, Turned> {
        let Some(door) = self.door() else { return Err(Turned::Later) };
        self.ask(door.alertmanager(body)).await
    }

    pub(super) async fn events(&self, content: &str, body: &[u8]) -> Result<Tally, Turned> {
        let Some(door) = self.door() else { return Err(Turned::Later) };
        self.ask(door.cloudevents(content, Map::new(), body)).await
    }

    /// A request of a person.
    pub(super) async fn request(
        &self,
        kind: &str,
        target: Target,
        payload: Value,
    ) -> Result<Tally, Turned> {
        let Some(door) = self.door() else { return Err(Turned::Later) };
        let now = door.clock.now();
        let id = Id::of(&["request", kind, &payload.to_string(), &now.to_string()]);
        let data = Event { payload, ..Event::default() };
        let event = Envelope::new(kind, id, "medevac/api", target, now, data);
        self.ask(door.own(vec![event])).await
    }

    /// A person answers about an incident: as often as it takes.
    pub(super) async fn answer(&self, resolve: bool, incident: &str, target: &Target, by: &str) {
        let verb = if resolve { kind::INCIDENT_RESOLVE } else { kind::INCIDENT_ACK };
        let payload = json!({ "incident": incident, "by": by, "note": "" });
        while self.request(verb, target.clone(), payload.clone()).await.is_err() {
            self.stage.time.after(Duration::from_secs(5)).await;
        }
    }
}

impl From<Received> for Turned {
    fn from(error: Received) -> Turned {
        match error {
            Received::Bad(bad) => Turned::Bad(bad.0),
            Received::NotAccepted(_) => Turned::Later,
        }
    }
}

impl From<LogError> for Turned {
    fn from(_: LogError) -> Turned {
        Turned::Later
    }
}
