//! Why a pod has no node: the scheduler's sentence, taken apart.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Nodes that do not take a pod, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    pub nodes: u32,
    pub why: Misfit,
    /// The resource, the taint, or the scheduler's own words.
    pub what: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unfit { nodes, why, what } = self;
        let word = why.word().replace('_', " ");
        match what.is_empty() {
            true => write!(f, "{nodes}: {word}"),
            false => write!(f, "{nodes}: {word} ({what})"),
        }
    }
}

/// Reasons of the scheduler's own plugins. Source: kubernetes pkg/scheduler/framework/plugins, v1.36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfit {
    /// Not enough of a resource.
    Insufficient,
    TooManyPods,
    Taint,
    /// Node selector or affinity.
    Affinity,
    PodAffinity,
    Spread,
    Unschedulable,
    /// Volumes of another zone, or none of the claim.
    Volume,
    Ports,
    Name,
    Other,
}

impl Misfit {
    pub fn word(self) -> &'static str {
        match self {
            Misfit::Insufficient => "insufficient",
            Misfit::TooManyPods => "too_many_pods",
            Misfit::Taint => "taint",
            Misfit::Affinity => "affinity",
            Misfit::PodAffinity => "pod_affinity",
            Misfit::Spread => "spread",
            Misfit::Unschedulable => "unschedulable",
            Misfit::Volume => "volume",
            Misfit::Ports => "ports",
            Misfit::Name => "name",
            Misfit::Other => "other",
        }
    }
}

/// More reasons no sentence has.
const MOST: usize = 32;

/// `0/5 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {spot: }. preemption: …`
pub fn unfit(message: &str) -> Vec<Unfit> {
    let Some((_, rest)) = message.split_once("nodes are available:") else { return vec![] };
    let own = rest.split(" preemption:").next().unwrap_or(rest).trim().trim_end_matches('.');
    split(own).into_iter().filter_map(one).take(MOST).collect()
}

/// At the commas that stand in no braces.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, vec![]);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth <= 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn one(part: &str) -> Option<Unfit> {
    let (count, words) = part.trim().split_once(' ')?;
    let nodes = count.parse().ok()?;
    let words = words.trim();
    let of = |why, what: &str| Some(Unfit { nodes, why, what: what.trim().to_owned() });
    if let Some(resource) = words.strip_prefix("Insufficient ") {
        return of(Misfit::Insufficient, resource);
    }
    if words == "Too many pods" {
        return of(Misfit::TooManyPods, "pods");
    }
    if let Some((_, taint)) = words.split_once("taint") {
        let taint = taint.trim_start_matches('s').trim().trim_matches(['{', '}']);
        let taint = taint.split_once(" that").map_or(taint, |(taint, _)| taint);
        let taint = taint.trim_end_matches('}').trim().trim_end_matches(':');
        return of(Misfit::Taint, taint);
    }
    let has = |text: &str| words.contains(text);
    let why = if has("were unschedulable") {
        Misfit::Unschedulable
    } else if has("topology spread") {
        Misfit::Spread
    } else if has("pod affinity") || has("pod anti-affinity") {
        Misfit::PodAffinity
    } else if has("node affinity") || has("node selector") {
        Misfit::Affinity
    } else if has("volume") || has("PersistentVolume") || has("persistentvolumeclaim") {
        Misfit::Volume
    } else if has("free ports") {
        Misfit::Ports
    } else if has("requested node name") {
        Misfit::Name
    } else {
        Misfit::Other
    };
    of(why, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedulers_sentence_is_taken_apart() {
        let message = "0/12 nodes are available: 3 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {nvidia.com/gpu: present}, \
            1 node(s) didn't match Pod's node affinity/selector, 1 node(s) were unschedulable, 1 Too many pods, \
            1 node(s) had volume node affinity conflict, 2 node(s) didn't match pod topology spread constraints, \
            1 node(s) didn't have free ports for the requested pod ports. preemption: 0/12 nodes are available: 12 Preemption is not helpful for scheduling.";
        let found: Vec<(u32, Misfit, String)> =
            unfit(message).into_iter().map(|it| (it.nodes, it.why, it.what)).collect();
        let kinds: Vec<(u32, Misfit)> =
            found.iter().map(|(nodes, why, _)| (*nodes, *why)).collect();
        assert_eq!(
            kinds,
            [
                (3, Misfit::Insufficient),
                (2, Misfit::Taint),
                (1, Misfit::Affinity),
                (1, Misfit::Unschedulable),
                (1, Misfit::TooManyPods),
                (1, Misfit::Affinity),
                (2, Misfit::Spread),
                (1, Misfit::Ports),
            ]
        );
        assert_eq!(found[0].2, "nvidia.com/gpu");
        assert_eq!(found[1].2, "nvidia.com/gpu: present");
    }

    #[test]
    fn older_words_and_no_words_are_read_as_well() {
        let old =
            "0/3 nodes are available: 3 node(s) had taint {spot: }, that the pod didn't tolerate.";
        assert_eq!(unfit(old)[0], Unfit { nodes: 3, why: Misfit::Taint, what: "spot".into() });
        let claim = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
        assert!(unfit(claim).is_empty(), "it names no nodes");
        assert!(unfit("").is_empty());
        assert!(unfit("nodes are available: x y, 2 }{,}").len() <= 2);
    }
}
