//! The hands of the active replica: they stop moving the moment its term is over.
//!
//! Between the question and the socket lie microseconds in which a process may still be paused; what goes out
//! then carries its step's key or the object's UID, so that it does nothing that was not going to be done.

use super::lease::Term;
use crate::clock::Clock;
use crate::cluster::ClusterControl;
use crate::escalation::Dispatch;
use crate::model::{Answer, CloudCall, ClusterCall, Contact, Delivery, PageKey, Refusal, Report};
use crate::remediation::{Beyond, WebCall};
use jiff::Timestamp;

#[derive(Clone)]
pub(super) struct Fenced<T, C> {
    pub(super) inner: T,
    pub(super) term: Term<C>,
}

const OVER: &str = "this replica is not the active one any more";

fn over() -> Answer {
    Answer::Refused(Refusal::Busy { retry_after: None, message: OVER.into() })
}

impl<T: ClusterControl, C: Clock> ClusterControl for Fenced<T, C> {
    async fn call(&self, call: ClusterCall, due: Option<Timestamp>) -> Answer {
        if self.term.holds() { self.inner.call(call, due).await } else { over() }
    }
}

impl<T: Beyond, C: Clock> Beyond for Fenced<T, C> {
    async fn web(&self, call: WebCall) -> Answer {
        if self.term.holds() { self.inner.web(call).await } else { over() }
    }

    async fn cloud(&self, call: CloudCall) -> Answer {
        if self.term.holds() { self.inner.cloud(call).await } else { over() }
    }
}

impl<T: Dispatch, C: Clock> Dispatch for Fenced<T, C> {
    async fn send(&self, contact: &Contact, key: &PageKey, report: &Report) -> Delivery {
        match self.term.holds() {
            true => self.inner.send(contact, key, report).await,
            false => Delivery::Retry { after: None, why: OVER.into() },
        }
    }
}
