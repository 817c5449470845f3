//! Small durable state beside the log: snapshots, indexes, leases, reservations.

use super::LogError;
use jiff::Timestamp;
use std::future::Future;

/// The buckets there are. An adapter may have to make them before they can be used.
pub mod bucket {
    /// Folded state, so that a start does not read the whole log.
    pub const SNAPSHOTS: &str = "snapshots";
    /// Incidents as they stand, by time of opening.
    pub const INCIDENTS: &str = "incidents";
    /// From an incident's id to its key among the incidents.
    pub const INCIDENT_IDS: &str = "incident-ids";
    /// From a plan's id to its place in the log.
    pub const PLANS: &str = "plans";
    /// Remediations that are being carried out, as their journals stand.
    pub const JOURNALS: &str = "journals";
    /// Who holds leave from which guard.
    pub const GUARDS: &str = "guards";
    /// Which replica is the active one.
    pub const LEASES: &str = "leases";
    /// What became of dead letters.
    pub const DEAD: &str = "dead-letters";
    /// Notices about machines that are no nodes yet.
    pub const AWAITED: &str = "awaited";
    /// What the checkpoints of a workload took before.
    pub const LEARNED: &str = "learned";
    /// Drawings that pages have links to.
    pub const GRAPHS: &str = "graphs";
    /// Where consumers stand, in a log that does not keep that itself.
    pub const PLACES: &str = "places";

    /// Up to when each schedule has run.
    pub const SCHEDULES: &str = "schedules";

    pub const ALL: [&str; 13] = [
        SNAPSHOTS,
        INCIDENTS,
        INCIDENT_IDS,
        PLANS,
        JOURNALS,
        GUARDS,
        LEASES,
        DEAD,
        AWAITED,
        LEARNED,
        GRAPHS,
        PLACES,
        SCHEDULES,
    ];
}

/// Grows with every write of a bucket; 0 is never given out.
pub type Revision = u64;

/// What must hold for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Always,
    /// The key has no live value.
    Absent,
    /// The key was last written with this revision.
    Is(Revision),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    pub key: String,
    pub value: Vec<u8>,
    pub revision: Revision,
    /// The value is gone from then on.
    pub expires: Option<Timestamp>,
}

pub trait Kv: Clone + Send + Sync + 'static {
    fn get(
        &self,
        bucket: &str,
        key: &str,
    ) -> impl Future<Output = Result<Option<KvEntry>, LogError>> + Send;

    /// Writes, if `condition` holds. With `expires`, the value is gone from then on.
    ///
    /// # Errors
    /// [`LogError::Conflict`] where the condition does not hold.
    fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Vec<u8>,
        condition: Condition,
        expires: Option<Timestamp>,
    ) -> impl Future<Output = Result<Revision, LogError>> + Send;

    /// # Errors
    /// [`LogError::Conflict`] where the condition does not hold.
    fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: Condition,
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// At most `limit` live entries before `before` (or from the end), highest key first.
    fn list(
        &self,
        bucket: &str,
        before: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<KvEntry>, LogError>> + Send;
}
