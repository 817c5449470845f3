//! Whether a process runs, stands still or is dead. Whatever it asks of the outside has to pass.
//!
//! A process that can neither ask nor be answered is indistinguishable from one that was stopped: so a gate at
//! every port is a kill -9 or a SIGSTOP for everybody but itself.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Stopped,
    Dead,
}

#[derive(Debug)]
struct Inner {
    state: State,
    waiting: Vec<Waker>,
}

#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Mutex<Inner>>);

impl Gate {
    pub(super) fn open() -> Gate {
        Gate(Arc::new(Mutex::new(Inner { state: State::Open, waiting: vec![] })))
    }

    fn set(&self, state: State) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.state == State::Dead {
            return;
        }
        inner.state = state;
        if state == State::Open {
            inner.waiting.drain(..).for_each(Waker::wake);
        }
    }

    pub(super) fn stop(&self) {
        self.set(State::Stopped);
    }

    pub(super) fn go_on(&self) {
        self.set(State::Open);
    }

    pub(super) fn kill(&self) {
        self.set(State::Dead);
    }

    fn is(&self, state: State) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).state == state
    }

    pub(super) fn is_dead(&self) -> bool {
        self.is(State::Dead)
    }

    /// Resolves at once where the process runs, later where it stands still, never where it is dead.
    pub(super) async fn pass(&self) {
        poll_fn(|context| {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match inner.state {
                State::Open => Poll::Ready(()),
                State::Stopped => {
                    inner.waiting.push(context.waker().clone());
                    Poll::Pending
                }
                State::Dead => Poll::Pending,
            }
        })
        .await;
    }
}
