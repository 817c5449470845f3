//! What happens, and when.

use super::super::faults::{Outside, Trouble};
use super::super::world::Offer;
use crate::model::Scope;
use std::{collections::BTreeMap, time::Duration};

/// One thing that happens, perhaps several times.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub at: Duration,
    pub deed: Deed,
    /// So often in all, so far apart.
    pub times: u32,
    pub every: Duration,
}

impl Step {
    /// How much happens with it, counted in single things.
    pub(super) fn size(&self) -> u64 {
        let each = match &self.deed {
            Deed::Alert { count, .. } | Deed::Event { count, .. } => u64::from(*count),
            _ => 1,
        };
        u64::from(self.times) * each
    }
}

/// The nodes concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pick {
    pub node: Option<String>,
    pub pool: Option<String>,
    pub zone: Option<String>,
    /// The node on which a pod of that app runs.
    pub app: Option<String>,
    /// At most so many, those not picked before first.
    pub count: Option<u32>,
}

type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// AWS says that it takes machines away in two minutes, and does, unless it changes its mind.
    SpotNotice {
        pick: Pick,
        action: String,
        taken: bool,
    },
    Rebalance {
        pick: Pick,
    },
    /// Auto Scaling groups end with machines, and wait for their hooks.
    ScaleIn {
        pick: Pick,
        patience: Duration,
    },
    /// Machines vanish without a word.
    TakeAway {
        pick: Pick,
    },
    /// Machines start anew.
    Reboot {
        pick: Pick,
        lasts: Duration,
    },
    /// Kubelets fall silent for a while.
    Silence {
        pick: Pick,
        lasts: Option<Duration>,
    },
    Alert {
        labels: Labels,
        annotations: Labels,
        /// One alert for each node.
        pick: Option<Pick>,
        /// So many that differ by a label `series`.
        count: u32,
        clears_after: Option<Duration>,
    },
    Event {
        kind: String,
        subject: Option<String>,
        pick: Option<Pick>,
        data: serde_json::Value,
        count: u32,
        /// It happened so long before it is posted.
        late: Duration,
        twice: bool,
    },
    /// Bytes that somebody posts.
    Body {
        to_alertmanager: bool,
        text: String,
        /// The file that the text is in.
        file: Option<String>,
    },
    PersonCordons {
        pick: Pick,
        closed: bool,
    },
    PersonAnswers {
        pick: Pick,
        by: String,
        resolves: bool,
    },
    PersonPauses {
        scope: Scope,
        by: String,
        reason: String,
        lasts: Duration,
    },
    Scale {
        namespace: String,
        app: String,
        replicas: u32,
    },
    NamespaceEnds {
        namespace: String,
    },
    /// From now on whoever is called at a URL with this in it answers with an event.
    Echo {
        url: String,
        kind: String,
    },
    Offer(Offer),
    Backup {
        name: String,
        tool: Tool,
        takes: Duration,
        ends: String,
    },
    Trouble {
        whom: Outside,
        only: Option<String>,
        how: Trouble,
        lasts: Duration,
    },
    /// The watch caches show the world as it is now.
    Stale {
        lasts: Duration,
    },
    Kill {
        replica: usize,
    },
    Stop {
        replica: usize,
        lasts: Duration,
    },
    /// A daemon's clock is so many milliseconds ahead.
    Skew {
        replica: usize,
        ahead: i64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Velero,
    AwsBackup,
}

impl Deed {
    /// It makes something worse that nobody asked for.
    pub fn harms(&self) -> bool {
        matches!(
            self,
            Deed::Trouble { .. }
                | Deed::Stale { .. }
                | Deed::Kill { .. }
                | Deed::Stop { .. }
                | Deed::Skew { .. }
        )
    }

    /// The daemon concerned, where one is.
    pub(super) fn replica(&self) -> Option<usize> {
        match self {
            Deed::Kill { replica } | Deed::Stop { replica, .. } | Deed::Skew { replica, .. } => {
                Some(*replica)
            }
            _ => None,
        }
    }

    /// In a few words, for transcripts.
    pub fn describe(&self) -> String {
        match self {
            Deed::SpotNotice { pick, action, .. } => format!("spot notice ({action}) for {pick}"),
            Deed::Rebalance { pick } => format!("rebalance recommendation for {pick}"),
            Deed::ScaleIn { pick, .. } => format!("Auto Scaling ends with {pick}"),
            Deed::TakeAway { pick } => format!("{pick} vanishes without a word"),
            Deed::Reboot { pick, .. } => format!("{pick} starts anew"),
            Deed::Silence { pick, .. } => format!("the kubelet of {pick} falls silent"),
            Deed::Alert { labels, pick, count, .. } => {
                let name = labels.get("alertname").map_or("?", String::as_str);
                match (pick, count) {
                    (Some(pick), _) => format!("alert {name} on {pick}"),
                    (None, 1) => format!("alert {name}"),
                    (None, count) => format!("{count} alerts {name}"),
                }
            }
            Deed::Event { kind, count, .. } => format!("{count} event(s) {kind}"),
            Deed::Body { text, .. } => format!("somebody posts {} bytes of their own", text.len()),
            Deed::PersonCordons { pick, closed } => {
                format!("a person {} {pick}", if *closed { "cordons" } else { "uncordons" })
            }
            Deed::PersonAnswers { pick, by, resolves } => {
                let does = if *resolves { "resolves" } else { "acknowledges" };
                format!("{by} {does} what is open about {pick}")
            }
            Deed::PersonPauses { scope, by, .. } => format!("{by} pauses {scope}"),
            Deed::Scale { namespace, app, replicas } => {
                format!("{namespace}/{app} is scaled to {replicas} by hand")
            }
            Deed::Echo { url, kind } => format!("calls to {url} are answered with {kind}"),
            Deed::NamespaceEnds { namespace } => format!("the namespace {namespace} is deleted"),
            Deed::Offer(offer) => format!(
                "the cloud has {} {} {} in {}",
                offer.free,
                offer.instance_type,
                offer.market.word(),
                offer.zone
            ),
            Deed::Backup { name, .. } => format!("the backup {name} begins"),
            Deed::Trouble { whom, only, how, lasts } => {
                let only = only.as_ref().map(|only| format!(" ({only})")).unwrap_or_default();
                format!("{}{only}: {how:?} for {} s", whom.word(), lasts.as_secs())
            }
            Deed::Stale { lasts } => {
                format!("the watch caches stand still for {} s", lasts.as_secs())
            }
            Deed::Kill { replica } => format!("kill -9 of daemon {replica}"),
            Deed::Stop { replica, lasts } => {
                format!("daemon {replica} is stopped for {} s", lasts.as_secs_f64())
            }
            Deed::Skew { replica, ahead } => {
                format!("the clock of daemon {replica} is {ahead} ms ahead")
            }
        }
    }
}

impl std::fmt::Display for Pick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut words = vec![];
        if let Some(node) = &self.node {
            words.push(node.clone());
        }
        words.extend(self.count.map(|count| format!("{count} nodes")));
        words.extend(self.pool.as_ref().map(|pool| format!("of pool {pool}")));
        words.extend(self.zone.as_ref().map(|zone| format!("in {zone}")));
        words.extend(self.app.as_ref().map(|app| format!("where {app} runs")));
        f.write_str(&if words.is_empty() { "every node".into() } else { words.join(" ") })
    }
}
