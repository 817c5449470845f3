//! What a rule may ask for: one action with its arguments, and what each action is like.

use super::{
    AwsBackup, Extent, HookResult, Ladder, Profile, RequireBackup, Snapshot, Span, Taint, Target,
    Topic, VeleroBackup,
};
use serde::{Deserialize, Serialize};

/// Whether a rule may act. The most cautious of rule and daemon wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and record, never write (invariant I8).
    Observe,
    #[default]
    Enforce,
}

/// One step of `then` or `otherwise`, with its needs made explicit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Unique within its list: the verb, or the `name` that the rule gives.
    pub name: String,
    pub action: Action,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// What must be true for `verify` to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Every alert of the incident has resolved.
    AlertCleared,
    /// The node is Ready.
    NodeReady,
    /// The node is Ready, and its machine has started anew since the plan was made.
    NodeRebooted,
    /// Nothing that a drain would move is left on the node.
    NodeEmpty,
    /// The workload has all its replicas ready; for a node, what it ran is ready elsewhere.
    PodsRunning,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    Cordon {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taint: Option<Taint>,
        /// Karpenter and Cluster Autoscaler hear by their own taints that the node goes.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        autoscalers: bool,
    },
    Uncordon,
    Taint {
        taint: Taint,
    },
    Label {
        key: String,
        value: Option<String>,
    },
    Annotate {
        key: String,
        value: Option<String>,
    },
    Checkpoint {
        /// Checkpoints that are written at the same time, of those that this plan asks for.
        at_once: u32,
        /// A checkpoint that is no older is fresh enough, and nobody is asked.
        fresh: Span,
        /// Bytes a second that all checkpoints that are written at the same time may need, those of other plans included.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bandwidth: Option<u64>,
        /// For workloads that do not say themselves how they are asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        profiles: Vec<Profile>,
    },
    Drain {
        /// Gives up after this long where no deadline is nearer.
        timeout: Span,
        /// Deletes what the API server refuses to evict once the time is up.
        force: bool,
        /// No pod is given longer to end, whatever its spec says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grace: Option<Span>,
    },
    /// Suspends the jobs of the gangs that have a member on the node, each after its checkpoint.
    Suspend,
    /// Lets what `suspend` has suspended run again.
    Resume,
    /// Asks for machines in place of the one that goes. In a plan without the ladders: they are in [`super::Plan::capacity`].
    Provision {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ladders: Vec<Ladder>,
        /// The ladders are climbed again and again for so long.
        within: Span,
    },
    /// Sends what ran on the node to other nodes. In a plan without the ladders: they are in [`super::Plan::moves`].
    Reschedule {
        extent: Extent,
        /// Also pods that no controller makes anew.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bare_pods: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ladders: Vec<Ladder>,
        timeout: Span,
    },
    /// Lets what was sent elsewhere go back to where it may have run before.
    ReturnToSpot {
        /// Those that left this pool. `None`: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pool: Option<String>,
        timeout: Span,
    },
    /// Gives the machine back, where Karpenter brought it.
    TerminateInstance,
    /// Tells the Auto Scaling group that its hook's action is over, and until then that it goes on.
    CompleteLifecycleAction {
        result: HookResult,
        /// What has to be done before: steps that it stands beside, not behind.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<String>,
    },
    Restart {
        workload: Option<String>,
    },
    Scale {
        workload: Option<String>,
        replicas: u32,
    },
    VeleroBackup(Box<VeleroBackup>),
    AwsBackup(Box<AwsBackup>),
    Snapshot(Box<Snapshot>),
    /// A backup has to be there that is not too old.
    RequireBackup(Box<RequireBackup>),
    /// Looks into what is wrong, and changes nothing.
    Diagnose {
        topic: Topic,
        /// `None`: what the event is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<Target>,
    },
    Wait {
        time: Span,
    },
    Verify {
        expect: Expect,
        /// How long it must hold.
        hold: Span,
        within: Span,
    },
    Http {
        method: String,
        url: String,
        body: Option<String>,
        timeout: Span,
        /// The far end promises that the same call twice is the same as once.
        idempotent: bool,
    },
    Notify {
        contact: String,
        text: String,
    },
    Escalate {
        policy: String,
        level: u32,
    },
}

impl Action {
    pub fn verb(&self) -> &'static str {
        match self {
            Action::Cordon { .. } => "cordon",
            Action::Uncordon => "uncordon",
            Action::Taint { .. } => "taint",
            Action::Label { .. } => "label",
            Action::Annotate { .. } => "annotate",
            Action::Checkpoint { .. } => "checkpoint",
            Action::Drain { .. } => "drain",
            Action::Suspend => "suspend",
            Action::Resume => "resume",
            Action::Provision { .. } => "provision",
            Action::Reschedule { .. } => "reschedule",
            Action::ReturnToSpot { .. } => "return_to_spot",
            Action::TerminateInstance => "terminate_instance",
            Action::CompleteLifecycleAction { .. } => "complete_lifecycle_action",
            Action::Restart { .. } => "restart",
            Action::Scale { .. } => "scale",
            Action::VeleroBackup(_) => "velero_backup",
            Action::AwsBackup(_) => "aws_backup",
            Action::Snapshot(_) => "snapshot",
            Action::RequireBackup(_) => "require_backup",
            Action::Diagnose { .. } => "diagnose",
            Action::Wait { .. } => "wait",
            Action::Verify { .. } => "verify",
            Action::Http { .. } => "http",
            Action::Notify { .. } => "notify",
            Action::Escalate { .. } => "escalate",
        }
    }

    /// It takes something away from somebody: the facts are looked at again just before.
    pub fn destructive(&self) -> bool {
        matches!(self, Action::Drain { .. } | Action::Restart { .. } | Action::Scale { .. })
    }

    /// It changes the cluster, so it needs a guard's leave and is never done in observe mode.
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Action::Wait { .. }
                | Action::Verify { .. }
                | Action::RequireBackup(_)
                | Action::Diagnose { .. }
                | Action::Notify { .. }
                | Action::Escalate { .. }
        )
    }

    /// It puts something right that we or others hold back, or has a place for what was lost: it is never too late for it.
    pub fn recovers(&self) -> bool {
        matches!(
            self,
            Action::Uncordon
                | Action::Resume
                | Action::Provision { .. }
                | Action::Reschedule { .. }
                | Action::CompleteLifecycleAction { .. }
        )
    }

    /// What it acts on is what the event is about, and nothing else.
    pub fn on_target(&self) -> bool {
        !matches!(
            self,
            Action::ReturnToSpot { .. }
                | Action::Wait { .. }
                | Action::Diagnose { .. }
                | Action::VeleroBackup(_)
                | Action::AwsBackup(_)
                | Action::Snapshot(_)
                | Action::RequireBackup(_)
                | Action::Http { .. }
                | Action::Notify { .. }
                | Action::Escalate { .. }
        )
    }

    /// It changes where workloads may run.
    pub fn moves(&self) -> bool {
        matches!(self, Action::Reschedule { .. } | Action::ReturnToSpot { .. })
    }

    /// Others wait for it without naming it. A machine comes when it comes, and a look is for people: whoever wants to
    /// wait for one says so.
    pub fn waited_for_by_default(&self) -> bool {
        !matches!(self, Action::Provision { .. } | Action::Diagnose { .. })
    }

    /// Without `needs`, it waits for every step above it. Others may start at once.
    pub fn waits_by_default(&self) -> bool {
        !matches!(
            self,
            Action::Cordon { .. }
                | Action::Taint { .. }
                | Action::Label { .. }
                | Action::Annotate { .. }
                | Action::Checkpoint { .. }
                | Action::Provision { .. }
                | Action::Diagnose { .. }
                | Action::VeleroBackup(_)
                | Action::AwsBackup(_)
                | Action::Snapshot(_)
                | Action::RequireBackup(_)
                | Action::Notify { .. }
                | Action::Escalate { .. }
        )
    }
}
