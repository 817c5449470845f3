//! The cluster as the rooms need it: a view to read from and a hand to change it with.
//!
//! A room of its own because planning looks, remediation looks and acts, and sources enrich. Reading and
//! writing are two traits: observe mode is the daemon without [`ClusterControl`]. `news` keeps account of
//! which change concerns whom, so that a storm on a thousand nodes does not wake everybody for everything; `follow` says
//! what else can be heard.
//! May import: `model`.

mod follow;
mod news;

pub use follow::{Custom, Followed, Follows, Heard};
pub use news::News;

use crate::model::{Answer, ClusterCall, Context, Look, Question, Target};
use jiff::Timestamp;
use std::{future::Future, time::Duration};
use tokio::sync::mpsc;

/// What somebody looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// The thing itself; for a node, with the pods on it. None: the cluster as a whole.
    pub target: Option<Target>,
    /// A workload beside it.
    pub workload: Option<Target>,
    /// Those whose pods on the way are waited for, as [`crate::model::Pod::maker`] names them, and gangs whose
    /// members are wanted wherever they are, as [`crate::model::Pod::gang`] does.
    pub controllers: Vec<String>,
    /// Workloads whose replicas are waited for.
    pub moved: Vec<Target>,
}

impl Sight {
    pub fn of(target: &Target) -> Sight {
        Sight { target: Some(target.clone()), ..Sight::default() }
    }
}

/// The watch caches. Every read is answered at once, from memory.
pub trait ClusterView: Clone + Send + Sync + 'static {
    /// Whether the caches have been complete once: before that nothing may be concluded from an absence.
    fn ready(&self) -> bool;

    /// What is known about it now.
    fn look(&self, sight: &Sight) -> Look;

    /// What an event about `target` should carry.
    fn context(&self, target: &Target) -> Context;

    /// The node with that cloud instance, or with that internal address.
    fn node_named(&self, instance_or_address: &str) -> Option<String>;

    /// Asks the server itself, once: the caches may be a moment behind, and they do not have everything.
    fn ask(&self, question: Question) -> impl Future<Output = Answer> + Send;

    /// Everything that becomes of objects of that kind, in order, from that version on or from what is there now. Who
    /// stops listening ends it.
    fn follow(&self, what: Followed, from: Option<String>) -> mpsc::Receiver<Heard> {
        let _ = (what, from);
        // Nobody tells anything.
        mpsc::channel(1).1
    }

    /// By how much the server's clock and ours differ: what has to be done by a moment is done so much earlier.
    fn skew(&self) -> Duration {
        Duration::ZERO
    }

    /// Grows with every change of what `sight` shows. Taken before a look, it tells what the look may have missed.
    fn version(&self, sight: &Sight) -> u64;

    /// Resolves once the version is another than `since`. Bursts are told once.
    fn changed(&self, sight: &Sight, since: u64) -> impl Future<Output = ()> + Send;
}

/// The only way to change anything in the cluster.
pub trait ClusterControl: Clone + Send + Sync + 'static {
    /// `due`: where more is asked than can be done at a time, what is due first goes first.
    fn call(
        &self,
        call: ClusterCall,
        due: Option<Timestamp>,
    ) -> impl Future<Output = Answer> + Send;
}
