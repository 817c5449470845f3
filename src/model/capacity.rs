//! Capacity: for which pods another machine is wanted, and by which ways it is to be had, in the order in which they are
//! tried.

use super::{Bearing, Pod, Span, gpus_of};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// For the pods of some workloads, the ways to another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    pub name: String,
    /// Empty: any.
    pub namespaces: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// What a node has to be for what is sent there.
    pub bearing: Bearing,
    pub rungs: Vec<Rung>,
}

/// One way, and how long a machine may take by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    #[serde(flatten)]
    pub way: Way,
    /// From asked for to a node that is Ready; then the next rung.
    pub within: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Way {
    /// Pods that hold the place: Karpenter, or any other autoscaler, brings the node that they need.
    Placeholders(Placeholders),
    /// The desired capacity of an Auto Scaling group.
    Group {
        group: Group,
        /// GPUs of each of its machines. `None`: one machine for one machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpus: Option<u32>,
    },
    /// An EC2 Fleet of type instant, all of it or nothing.
    Fleet {
        launch_template: String,
        /// A number, `$Latest` or `$Default`.
        version: String,
        /// Each is tried as a whole before the next.
        instance_types: Vec<String>,
        /// By zone. Empty: as the launch template says.
        subnets: BTreeMap<String, String>,
        zone: Zone,
    },
}

/// How pods that hold a place are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placeholders {
    pub namespace: String,
    pub image: String,
    /// Of a lower priority than any workload's: what they hold the place for takes it from them.
    pub priority_class: String,
    /// Empty: any that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instance_types: Vec<String>,
    pub zone: Zone,
}

/// Where a machine may stand, seen from the one that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    Same,
    Other,
    #[default]
    Any,
}

impl Zone {
    pub fn allows(self, here: &str, there: &str) -> bool {
        match self {
            Zone::Same => here == there,
            Zone::Other => here != there,
            Zone::Any => true,
        }
    }
}

/// An Auto Scaling group: by its name, or by the EKS managed node group that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Group {
    Eks { cluster: String, node_group: String },
    Named { name: String },
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Named { name } => f.write_str(name),
            Group::Eks { cluster, node_group } => write!(f, "{cluster}/{node_group}"),
        }
    }
}

/// Machines that one rung asks for: everything is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Source {
    Placeholders(Placeholders),
    Group { group: Group },
    Fleet { launch_template: String, version: String, instance_type: String, subnets: Vec<String> },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Placeholders(of) => match of.zone {
                Zone::Same => f.write_str("placeholder pods in the same zone"),
                Zone::Other => f.write_str("placeholder pods in another zone"),
                Zone::Any => f.write_str("placeholder pods"),
            },
            Source::Group { group } => write!(f, "the group {group}"),
            Source::Fleet { launch_template, instance_type, .. } => {
                write!(f, "a fleet of {instance_type} by {launch_template}")
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRung {
    #[serde(flatten)]
    pub source: Source,
    pub machines: u32,
    pub within: Span,
}

/// What is asked for in place of one machine, for the pods of one ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCapacity {
    pub ladder: String,
    pub bearing: Bearing,
    /// Of the machine that goes.
    pub zone: String,
    pub pods: Vec<Displaced>,
    pub rungs: Vec<PlannedRung>,
}

/// A pod that needs a place elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Displaced {
    pub namespace: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpus: u32,
    /// As [`super::Pod::maker`] names it.
    #[serde(default)]
    pub maker: String,
    /// The node that it leaves.
    #[serde(default)]
    pub node: String,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How far a ladder has been climbed. Recorded before a rung is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Climbed {
    pub round: u32,
    /// Its place on the ladder, the first is 0.
    pub rung: u32,
    pub at: jiff::Timestamp,
    #[serde(flatten)]
    pub state: Climbing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Climbing {
    Asked,
    /// It is left, and given back what it may have brought.
    Refused {
        why: String,
    },
    /// Whom the places are held for waits for a node itself: an autoscaler that saw both would bring two.
    Yielded,
    /// Nodes that are Ready.
    Ready {
        nodes: Vec<String>,
    },
}

/// A request for machines. The same key is the same request, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub key: String,
    pub source: Source,
    pub machines: u32,
    pub tags: Vec<(String, String)>,
}

/// What a request has brought so far: EC2 instance ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Granted {
    pub machines: Vec<String>,
}

/// A machine as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The EC2 instance.
    pub machine: String,
    pub node: String,
    pub ready: bool,
    /// Pods on it that a drain would move.
    pub pods: u32,
}

impl Ladder {
    pub fn fits(&self, pod: &Pod) -> bool {
        let here = self.namespaces.is_empty() || self.namespaces.contains(&pod.namespace);
        here && self.labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    }

    /// Its rungs for these pods of a machine in `zone`, each with what it asks for; and what a reader should know of those
    /// that are left out.
    pub fn planned(&self, pods: &[Displaced], zone: &str) -> (Vec<PlannedRung>, Vec<String>) {
        let (mut rungs, mut remarks) = (vec![], vec![]);
        for Rung { way, within } in &self.rungs {
            let mut rung = |source, machines| {
                rungs.push(PlannedRung { source, machines, within: *within });
            };
            match way {
                Way::Placeholders(of) => {
                    let count = u32::try_from(pods.len()).unwrap_or(u32::MAX);
                    rung(Source::Placeholders(of.clone()), count);
                }
                Way::Group { group, gpus } => match machines(pods, *gpus) {
                    Some(count) => rung(Source::Group { group: group.clone() }, count),
                    None => remarks.push(format!("a machine of {group} has too few GPUs")),
                },
                Way::Fleet { launch_template, version, instance_types, subnets, zone: there } => {
                    let subnets: Vec<String> = subnets
                        .iter()
                        .filter(|(at, _)| there.allows(zone, at))
                        .map(|(_, subnet)| subnet.clone())
                        .collect();
                    if subnets.is_empty() && *there != Zone::Any {
                        remarks.push(format!("{launch_template} has no subnet there"));
                        continue;
                    }
                    for kind in instance_types {
                        let Some(count) = machines(pods, gpus_of(kind)) else {
                            remarks.push(format!("{kind} has too few GPUs for what runs here"));
                            continue;
                        };
                        let source = Source::Fleet {
                            launch_template: launch_template.clone(),
                            version: version.clone(),
                            instance_type: kind.clone(),
                            subnets: subnets.clone(),
                        };
                        rung(source, count);
                    }
                }
            }
        }
        (rungs, remarks)
    }
}

/// Machines of `gpus` each that the pods take up: the largest first, each where it fits first. One for each that they
/// leave, where GPUs tell nothing. `None`: one of them fits on none.
fn machines(pods: &[Displaced], gpus: Option<u32>) -> Option<u32> {
    let mut needs: Vec<u32> = pods.iter().map(|pod| pod.gpus).collect();
    let Some(gpus) = gpus.filter(|_| needs.iter().any(|need| *need > 0)) else {
        let left: BTreeSet<&String> =
            pods.iter().map(|pod| &pod.node).filter(|node| !node.is_empty()).collect();
        return Some(u32::try_from(left.len()).unwrap_or(u32::MAX).max(1));
    };
    needs.sort_unstable_by_key(|need| std::cmp::Reverse(*need));
    let mut free: Vec<u32> = vec![];
    for need in needs {
        match free.iter_mut().find(|left| **left >= need) {
            Some(left) => *left -= need,
            None => free.push(gpus.checked_sub(need)?),
        }
    }
    Some(u32::try_from(free.len()).unwrap_or(u32::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(needs: &[u32]) -> Vec<Displaced> {
        let pod = |(at, gpus): (usize, &u32)| Displaced {
            namespace: "training".into(),
            name: format!("llm-{at}"),
            gpus: *gpus,
            maker: String::new(),
            node: format!("n-{}", at / 2),
        };
        needs.iter().enumerate().map(pod).collect()
    }

    #[test]
    fn as_many_machines_as_the_pods_need() {
        for (needs, gpus, wanted) in [
            (&[8][..], Some(8), Some(1)),
            (&[5, 5, 5], Some(8), Some(3)),
            (&[4, 4, 8], Some(8), Some(2)),
            (&[2, 6, 3, 5], Some(8), Some(2)),
            (&[8], Some(4), None),
            // One for each that they leave.
            (&[0, 0], Some(8), Some(1)),
            (&[0, 0, 0], Some(8), Some(2)),
            (&[8, 8, 8, 8, 8], None, Some(3)),
            (&[], Some(8), Some(1)),
        ] {
            assert_eq!(machines(&pods(needs), gpus), wanted, "{needs:?} on {gpus:?}");
        }
    }

    #[test]
    fn a_type_that_does_not_fit_and_a_zone_without_a_subnet_are_left_out_in_words() {
        let way = |types: &[&str], zone| Way::Fleet {
            launch_template: "lt-1".into(),
            version: "$Default".into(),
            instance_types: types.iter().map(|it| (*it).to_owned()).collect(),
            subnets: [("a", "subnet-a"), ("b", "subnet-b")]
                .map(|(zone, subnet)| (zone.to_owned(), subnet.to_owned()))
                .into(),
            zone,
        };
        let rung = |way| Rung { way, within: Span::seconds(60) };
        let ladder = Ladder {
            name: "training".into(),
            namespaces: vec![],
            labels: BTreeMap::new(),
            bearing: Bearing::default(),
            rungs: vec![
                rung(way(&["p4d.24xlarge", "g5.12xlarge"], Zone::Same)),
                rung(way(&["p4d.24xlarge"], Zone::Other)),
            ],
        };
        let (rungs, remarks) = ladder.planned(&pods(&[8]), "a");
        let told: Vec<String> = rungs.iter().map(|rung| format!("{:?}", rung.source)).collect();
        assert_eq!(rungs.len(), 2, "{told:?}");
        assert!(
            told[0].contains("\"subnet-a\"]") && told[1].contains("[\"subnet-b\"]"),
            "{told:?}"
        );
        assert_eq!(remarks, ["g5.12xlarge has too few GPUs for what runs here"]);
        let (rungs, remarks) = ladder.planned(&pods(&[8]), "c");
        assert_eq!((rungs.len(), remarks.len()), (1, 1), "{remarks:?}");
    }
}
