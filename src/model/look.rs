//! One look at a target: what is remembered of the cluster at that moment.

use super::{Node, Pod, Workload};
use std::{collections::BTreeMap, sync::Arc};

/// Pods of one controller that are not ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waiting {
    pub count: usize,
    /// The full names of a few.
    pub names: Vec<String>,
    /// Why one of them has no node.
    pub why: Option<String>,
}

impl Waiting {
    /// Names of more say nothing more.
    pub const NAMED: usize = 5;
}

/// One look at a target: the node, what runs on it, and the workload concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// Set where the view has never been complete: nothing may be concluded from an absence.
    pub stale: bool,
    pub node: Option<Node>,
    pub pods: Vec<Pod>,
    /// The other members, wherever they are, of the gangs that have one on the node.
    pub peers: Vec<Arc<Pod>>,
    pub workload: Option<Workload>,
    /// Of each controller looked at, the pods that are not ready, wherever they are: those that replace others.
    pub waiting: BTreeMap<String, Waiting>,
    /// Workloads that were sent elsewhere.
    pub moved: Vec<Workload>,
}
