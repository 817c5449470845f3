//! Bugs that can be put in on purpose, one at a time: what finds bugs has to find these.
//!
//! Only with the feature `planted`, which nothing that ships has. Without it every question is answered `false`
//! at compile time. `simulations/main.rs` plants each of them and demands that the simulator catches it.

/// A bug of the kind that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A step is begun without a line in the journal.
    SkipJournal = 1,
    /// After a crash a step is repeated without a look at the world.
    DropProbe,
    /// Leave that a guard has given is forgotten at a restart.
    ForgetGuard,
    /// The next round of calls has the number of the last.
    ReusePageKey,
    /// A newer plan does not wait for the older one to stop.
    StaleEpoch,
    /// An event is said to be accepted before the log has it.
    AckEarly,
    /// A pod is asked to go by its name alone.
    IgnoreUid,
    /// A drain takes its own timeout, whatever the deadline is.
    OwnTimeout,
    /// A worker that has to look again later is not woken.
    LoseWake,
    /// A chain of causes may be as long as it likes.
    MatchItself,
}

impl Bug {
    pub const ALL: [Bug; 10] = [
        Bug::SkipJournal,
        Bug::DropProbe,
        Bug::ForgetGuard,
        Bug::ReusePageKey,
        Bug::StaleEpoch,
        Bug::AckEarly,
        Bug::IgnoreUid,
        Bug::OwnTimeout,
        Bug::LoseWake,
        Bug::MatchItself,
    ];
}

#[cfg(feature = "planted")]
mod ground {
    use super::Bug;
    use std::sync::atomic::{AtomicU8, Ordering};

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Puts one bug in, or takes it out again.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::SeqCst);
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8
    }
}

#[cfg(feature = "planted")]
pub use ground::plant;
#[cfg(feature = "planted")]
pub(crate) use ground::planted;

/// Whether that bug is in. Never, in what ships.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}
