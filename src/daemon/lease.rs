//! Which replica is the active one: a lease that has to be renewed, wherever it is kept.
//!
//! The holder renews; the others watch whether anything changes, each by its own steady clock, so that clocks
//! need not agree. The holder gives up before the others may take over. What a holder that was paused could
//! still do is the log's to refuse (its fence) and [`Term::holds`]'s, which is asked before every call outside.

use crate::clock::Clock;
use crate::log::{Condition, Kv, LogError, bucket::LEASES};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A lease that nobody has renewed for so long may be taken.
const EXPIRES: Duration = Duration::from_millis(2000);
/// The holder stops acting so long after it began its last good renewal.
const GIVE_UP: Duration = Duration::from_millis(1600);
const RENEW: Duration = Duration::from_millis(400);
const LOOK: Duration = Duration::from_millis(100);

/// Who holds the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Empty: given back.
    pub holder: String,
    /// Grows with every change of holder.
    pub term: u64,
    pub since: Timestamp,
    /// Grows with every renewal: the others look for nothing else.
    pub beat: u64,
}

impl Claim {
    /// Whether the other is a write of the same term: its answer may have been lost.
    fn is(&self, other: &Claim) -> bool {
        (&self.holder, self.term) == (&other.holder, other.term)
    }
}

/// What a store knows its last write by: a revision, a resource version.
pub type Version = String;

/// Where the lease is kept. Writing is compare-and-set.
pub trait LeaseStore: Clone + Send + Sync + 'static {
    fn read(&self) -> impl Future<Output = Result<Option<(Claim, Version)>, LogError>> + Send;

    /// Writes over `over`, or where there is none.
    ///
    /// # Errors
    /// [`LogError::Conflict`] where somebody else wrote first.
    fn write(
        &self,
        claim: &Claim,
        over: Option<&Version>,
    ) -> impl Future<Output = Result<Version, LogError>> + Send;
}

/// Nobody else can be there: the log is one process's own.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl LeaseStore for Alone {
    async fn read(&self) -> Result<Option<(Claim, Version)>, LogError> {
        Ok(None)
    }

    async fn write(&self, _: &Claim, _: Option<&Version>) -> Result<Version, LogError> {
        Ok(Version::new())
    }
}

/// The lease in the log's own keys.
#[derive(Clone)]
pub struct KvLease<K>(pub K);

const KEY: &str = "active";

impl<K: Kv> LeaseStore for KvLease<K> {
    async fn read(&self) -> Result<Option<(Claim, Version)>, LogError> {
        let found = self.0.get(LEASES, KEY).await?;
        Ok(found.and_then(|entry| {
            Some((serde_json::from_slice(&entry.value).ok()?, entry.revision.to_string()))
        }))
    }

    async fn write(&self, claim: &Claim, over: Option<&Version>) -> Result<Version, LogError> {
        let revision = over.and_then(|version| version.parse().ok());
        let condition = revision.map_or(Condition::Absent, Condition::Is);
        let value = serde_json::to_vec(claim).unwrap_or_default();
        let written = self.0.put(LEASES, KEY, value, condition, None).await?;
        Ok(written.to_string())
    }
}

/// A watcher's memory: what it saw last, and since when nothing has changed.
#[derive(Debug, Default)]
struct Watch {
    seen: Option<(Version, Duration)>,
}

impl Watch {
    /// Whether the lease may be taken, `at` by the steady clock.
    fn free(&mut self, found: Option<&(Claim, Version)>, at: Duration) -> bool {
        let Some((claim, version)) = found else { return true };
        if claim.holder.is_empty() {
            return true;
        }
        match &self.seen {
            Some((seen, since)) if seen == version => at.saturating_sub(*since) >= EXPIRES,
            _ => {
                self.seen = Some((version.clone(), at));
                false
            }
        }
    }
}

/// The right to act, for as long as it is renewed.
#[derive(Clone)]
pub struct Term<C> {
    pub number: u64,
    clock: C,
    /// Milliseconds of the steady clock.
    until: Arc<AtomicU64>,
}

impl<C: Clock> Term<C> {
    fn new(number: u64, began: Duration, clock: C) -> Term<C> {
        let term = Term { number, clock, until: Arc::default() };
        term.extend(began);
        term
    }

    fn extend(&self, began: Duration) {
        let until = u64::try_from((began + GIVE_UP).as_millis()).unwrap_or(u64::MAX);
        self.until.fetch_max(until, Ordering::SeqCst);
    }

    fn end(&self) {
        self.until.store(0, Ordering::SeqCst);
    }

    /// Whether this replica may still act.
    pub fn holds(&self) -> bool {
        self.clock.steady() < Duration::from_millis(self.until.load(Ordering::SeqCst))
    }
}

/// Wins the lease, renews it, gives it back.
pub(super) struct Election<S, C> {
    pub(super) store: S,
    pub(super) clock: C,
    pub(super) me: String,
}

/// A lease that is held: what was written last.
pub(super) struct Held<C> {
    pub(super) term: Term<C>,
    claim: Claim,
    version: Version,
}

impl<S: LeaseStore, C: Clock> Election<S, C> {
    /// Waits until this replica is the active one.
    pub(super) async fn win(&self) -> Held<C> {
        let mut watch = Watch::default();
        loop {
            match self.try_to_win(&mut watch).await {
                Ok(Some(held)) => return held,
                Ok(None) | Err(LogError::Conflict) => {}
                Err(error) => tracing::warn!(%error, "the lease cannot be looked at"),
            }
            self.clock.after(LOOK).await;
        }
    }

    async fn try_to_win(&self, watch: &mut Watch) -> Result<Option<Held<C>>, LogError> {
        let found = self.store.read().await?;
        if !watch.free(found.as_ref(), self.clock.steady()) {
            return Ok(None);
        }
        let (now, began) = (self.clock.now(), self.clock.steady());
        let last = found.as_ref().map_or(0, |(claim, _)| claim.term);
        // Above every term before it, even where the lease was taken away or is kept elsewhere now.
        let minutes = u64::try_from(now.as_second() / 60).unwrap_or_default();
        let number = (last + 1).max(minutes);
        let claim = Claim { holder: self.me.clone(), term: number, since: now, beat: 0 };
        let version = self.store.write(&claim, found.as_ref().map(|(_, version)| version)).await?;
        let term = Term::new(number, began, self.clock.clone());
        Ok(Some(Held { term, claim, version }))
    }

    /// Renews until the lease is lost, and says why it was.
    pub(super) async fn keep(&self, held: &mut Held<C>) -> String {
        loop {
            self.clock.after(RENEW).await;
            let began = self.clock.steady();
            held.claim.beat += 1;
            let mut written = self.write(&held.claim, &held.version).await;
            if matches!(written, Err(LogError::Conflict)) {
                // An answer of ours that was lost looks like a stranger's write.
                written = match self.store.read().await {
                    Ok(Some((claim, version))) if held.claim.is(&claim) => Ok(version),
                    Ok(Some((claim, _))) if claim.term != held.claim.term => {
                        return format!("{} has it", claim.holder);
                    }
                    Ok(_) => written,
                    Err(error) => Err(error),
                };
            }
            let why = match written {
                Ok(version) => {
                    held.version = version;
                    held.term.extend(began);
                    String::new()
                }
                Err(error) => error.to_string(),
            };
            if !held.term.holds() {
                return format!("it could not be renewed in time {why}");
            }
        }
    }

    /// A store that does not answer is no reason to hang.
    async fn write(&self, claim: &Claim, over: &Version) -> Result<Version, LogError> {
        tokio::select! {
            biased;
            written = self.store.write(claim, Some(over)) => written,
            () = self.clock.after(GIVE_UP) => {
                Err(LogError::Unavailable("the lease's store does not answer".into()))
            }
        }
    }

    /// Gives the lease back, so that the next one need not wait.
    pub(super) async fn give_back(&self, mut held: Held<C>) {
        held.term.end();
        held.claim.holder = String::new();
        if let Err(error) = self.write(&held.claim, &held.version).await {
            tracing::debug!(%error, "the lease was not given back; it runs out by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(holder: &str) -> Claim {
        Claim { holder: holder.into(), term: 1, since: Timestamp::UNIX_EPOCH, beat: 0 }
    }

    #[test]
    fn a_lease_is_free_when_nobody_has_it_gave_it_back_or_renewed_it_for_long() {
        let mut watch = Watch::default();
        let at = Duration::from_millis;
        assert!(watch.free(None, at(0)));
        assert!(watch.free(Some(&(claim(""), "1".into())), at(0)));
        let mut held = (claim("a"), "2".to_owned());
        assert!(!watch.free(Some(&held), at(100)), "seen for the first time");
        assert!(!watch.free(Some(&held), at(2000)));
        held.1 = "3".into();
        assert!(!watch.free(Some(&held), at(2200)), "it was renewed");
        assert!(!watch.free(Some(&held), at(4100)));
        assert!(watch.free(Some(&held), at(4200)));
    }

    #[test]
    fn the_holder_stops_before_another_may_begin() {
        assert!(GIVE_UP < EXPIRES && RENEW * 3 < GIVE_UP);
    }
}
