//! What everybody in a simulation shares, and the one road from a daemon to the outside.

use super::faults::{Fate, Faults, Mishap, Outside, Trouble};
use super::gate::Gate;
use super::invariants::Invariants;
use super::store::Store;
use super::tape::Tape;
use super::time::{Virtual, Watch};
use super::world::World;
use crate::clock::Clock;
use crate::model::PageKey;
use crate::remediation::WebCall;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, mpsc};

/// A call that nobody answers is given up after so long.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Stage {
    pub(super) time: Virtual,
    world: Mutex<World>,
    /// What the views show instead of the world, while they are behind it.
    pub(super) frozen: Mutex<Option<Arc<World>>>,
    store: Mutex<Store>,
    invariants: Mutex<Invariants>,
    tape: Mutex<Tape>,
    faults: Mutex<Faults>,
    /// The world has something new to do or to show.
    pub(super) stirred: Notify,
    /// The same, for those who look through a view.
    pub(super) seen: Notify,
    /// The log has grown.
    pub(super) written: Notify,
    /// A daemon has died.
    pub(super) died: Notify,
    /// An invariant is broken: going on says nothing more.
    pub(super) broken: Notify,
    /// Something has happened that an expectation may be about.
    pub(super) judged: Notify,
    /// URLs, and the types of the events that calls to them are answered with.
    echoes: Mutex<Vec<(String, String)>>,
    /// Events that somebody outside sends because he was called.
    pub(super) echoed: mpsc::UnboundedSender<Value>,
    /// Whose pager rings.
    pub(super) rung: mpsc::UnboundedSender<PageKey>,
}

/// Nobody panics while holding one of these; if somebody did, what is in it is still the best there is.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    pub(super) fn new(
        time: Virtual,
        world: World,
        faults: Faults,
        invariants: Invariants,
        rung: mpsc::UnboundedSender<PageKey>,
        echoed: mpsc::UnboundedSender<Value>,
    ) -> Arc<Stage> {
        Arc::new(Stage {
            time,
            world: Mutex::new(world),
            frozen: Mutex::default(),
            store: Mutex::default(),
            invariants: Mutex::new(invariants),
            tape: Mutex::default(),
            faults: Mutex::new(faults),
            stirred: Notify::new(),
            seen: Notify::new(),
            written: Notify::new(),
            died: Notify::new(),
            broken: Notify::new(),
            judged: Notify::new(),
            echoes: Mutex::default(),
            echoed,
            rung,
        })
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// The world as it is now, with everything done that is due; whoever waits for it hears of it.
    pub(super) fn act<T>(&self, deed: impl FnOnce(&mut World) -> T) -> T {
        let done = {
            let mut world = self.world();
            world.pass(self.time.now());
            deed(&mut world)
        };
        self.stirred.notify_one();
        done
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(super) fn tape(&self) -> MutexGuard<'_, Tape> {
        lock(&self.tape)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(super) fn invariants(&self) -> MutexGuard<'_, Invariants> {
        lock(&self.invariants)
    }

    pub(super) fn echo(&self, url: String, kind: String) {
        lock(&self.echoes).push((url, kind));
    }

    /// Somebody outside was called: what he does about it.
    pub(super) fn called(&self, call: &WebCall) {
        for (url, kind) in lock(&self.echoes).iter().filter(|(url, _)| call.url.contains(url)) {
            let event = json!({
                "specversion": "1.0", "id": call.key, "source": url, "type": kind,
                "time": self.time.now(), "cause": call.cause,
                "subject": format!("echo/{}", call.key),
            });
            if self.echoed.send(event).is_err() {
                tracing::debug!("nobody carries it");
            }
        }
    }

    /// The views show the world as it is now, whatever happens to it.
    pub(super) fn freeze(&self) {
        let now = self.world().clone();
        *lock(&self.frozen) = Some(Arc::new(now));
        self.invariants().blind = true;
    }

    /// The views are up to date again.
    pub(super) fn thaw(&self) {
        *lock(&self.frozen) = None;
        self.invariants().blind = false;
        self.seen.notify_waiters();
    }

    /// Moves the world on, and tells what happens in it, for as long as it is polled.
    pub(super) async fn turn(self: Arc<Self>) {
        loop {
            let due = {
                let mut world = self.world();
                world.pass(self.time.now());
                let told = world.take_told();
                if !told.is_empty() {
                    self.invariants().world_changed(&world);
                    self.tape().world(told);
                }
                world.next_due()
            };
            self.seen.notify_waiters();
            self.judged.notify_one();
            tokio::select! {
                biased;
                () = self.stirred.notified() => {}
                () = self.time.until(due) => {}
            }
        }
    }
}

/// One daemon process: its gate, its clock, and its road to the outside.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) stage: Arc<Stage>,
    pub(super) gate: Gate,
    /// Counts the processes of the whole run.
    pub(super) number: u32,
    pub(super) watch: Watch,
    /// Its watch caches are complete from then on.
    pub(super) listed_at: Timestamp,
}

/// Why a call has no answer of the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// It may have happened.
    Lost,
    /// It was turned away.
    Refused,
    Trouble(Trouble),
}

impl Life {
    pub(super) fn new(stage: Arc<Stage>, number: u32, skew: Arc<AtomicI64>) -> Life {
        let gate = Gate::open();
        let watch = Watch::new(stage.time, skew, gate.clone());
        // The first finds everything in order; those after it come into a cluster that is busy.
        let listing = Duration::from_millis(400 + u64::from(number) * 977 % 2500);
        let wait = if number < 2 { Duration::ZERO } else { listing };
        let listed_at = stage.time.now().checked_add(wait).unwrap_or_default();
        Life { stage, gate, number, watch, listed_at }
    }

    fn die(&self, number: u64, about: &str) {
        self.gate.kill();
        let text = format!("the daemon is killed at call {number}: {about}");
        self.stage.tape().fault(self.stage.time.now(), text);
        self.stage.died.notify_one();
    }

    async fn pause(&self, span: Duration) {
        self.stage.time.after(span).await;
    }

    /// One call to the outside: `deed` happens not at all, once or twice, and is heard of or not.
    pub(super) async fn call<T>(
        &self,
        whom: Outside,
        about: &str,
        mut deed: impl FnMut() -> T,
    ) -> Result<T, Silence> {
        self.gate.pass().await;
        let fate = self.stage.faults().fate(whom, about, self.stage.time.now());
        let Fate { number, latency, mishap, trouble } = fate;
        if let Some(mishap) = mishap {
            let text = format!("call {number} ({}, {about}): {}", whom.word(), mishap.word());
            self.stage.tape().fault(self.stage.time.now(), text);
        }
        if mishap == Some(Mishap::Crash) {
            self.die(number, about);
        }
        self.gate.pass().await;
        self.pause(latency / 2).await;
        match (trouble, mishap) {
            (Some(Trouble::Slow(_) | Trouble::AnswersLost) | None, _) => {}
            (Some(trouble), _) => {
                self.pause(latency / 2).await;
                self.gate.pass().await;
                return Err(Silence::Trouble(trouble));
            }
        }
        if mishap == Some(Mishap::Refused) {
            self.pause(latency / 2).await;
            self.gate.pass().await;
            return Err(Silence::Refused);
        }
        if mishap == Some(Mishap::LostBefore) {
            self.pause(TIMEOUT).await;
            self.gate.pass().await;
            return Err(Silence::Lost);
        }
        let answer = deed();
        if mishap == Some(Mishap::Twice) {
            deed();
        }
        if mishap == Some(Mishap::CrashAfter) {
            self.die(number, about);
        }
        if mishap == Some(Mishap::LostAfter) || trouble == Some(Trouble::AnswersLost) {
            self.pause(TIMEOUT).await;
            self.gate.pass().await;
            return Err(Silence::Lost);
        }
        self.pause(latency.saturating_sub(latency / 2)).await;
        self.gate.pass().await;
        Ok(answer)
    }
}

/// Sets the skew of a daemon's clock, in milliseconds ahead.
pub(super) fn set_skew(skew: &AtomicI64, ahead: i64) {
    skew.store(ahead, Ordering::Relaxed);
}
