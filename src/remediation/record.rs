//! The record of a remediation: what was planned for each pod, what became of it, and what was lost.

use super::Journal;
use crate::model::{Handshake, Id, Plan, PlanEnd, PodRecord, Target};
use jiff::Timestamp;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub struct Record {
    pub plan: Id,
    pub incident: String,
    pub rule: String,
    pub target: Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// What was kept free before the deadline.
    pub reserve: crate::model::Span,
    pub made_at: Timestamp,
    /// None: it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<PlanEnd>,
    /// Left before the deadline when it ended; below zero it came too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack_seconds: Option<f64>,
    pub pods: Vec<OfPod>,
    pub checkpoints: Vec<OfCheckpoint>,
    /// Pods that did not end by themselves.
    pub hard_killed: u32,
    pub lost_work_seconds: u64,
}

/// One pod: planned against actual.
#[derive(Debug, Clone, Serialize)]
pub struct OfPod {
    pub name: String,
    /// The latest moment at which it was to be told to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evict_by: Option<Timestamp>,
    /// Seconds that it was to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_grace: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Left before the deadline when it was told to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack_at_sigterm_seconds: Option<f64>,
    /// None: the drain has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<PodRecord>,
}

#[derive(Debug, Clone, Serialize)]
pub struct OfCheckpoint {
    pub unit: String,
    pub members: usize,
    pub by: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Handshake>,
}

impl Record {
    /// What `plan` and its journal tell at `now`; for one that has ended, when it did.
    pub fn of(plan: &Plan, journal: &Journal, now: Timestamp) -> Record {
        let slack = |at: Timestamp| Some(plan.deadline?.duration_since(at).as_secs_f64());
        let actual = |uid: &str| journal.pods.iter().find(|record| record.uid == uid);
        let mut pods: Vec<OfPod> = plan
            .pods
            .iter()
            .map(|planned| OfPod {
                name: planned.name.clone(),
                evict_by: Some(planned.evict_by),
                planned_grace: Some(planned.grace),
                checkpoint: planned.unit.clone(),
                slack_at_sigterm_seconds: actual(&planned.uid).and_then(|it| slack(it.told_at?)),
                actual: actual(&planned.uid).cloned(),
            })
            .collect();
        let unplanned = |record: &&PodRecord| plan.pods.iter().all(|it| it.uid != record.uid);
        pods.extend(journal.pods.iter().filter(unplanned).map(|record| OfPod {
            name: record.name.clone(),
            evict_by: None,
            planned_grace: None,
            checkpoint: None,
            slack_at_sigterm_seconds: record.told_at.and_then(slack),
            actual: Some(record.clone()),
        }));
        let lost = |state: &Handshake| match state {
            Handshake::Expired { lost, .. } => lost.0.as_secs(),
            _ => 0,
        };
        let killed = journal.pods.iter().filter(|record| record.killed).count();
        Record {
            plan: plan.id.clone(),
            incident: plan.incident.clone(),
            rule: plan.rule.clone(),
            target: plan.target.clone(),
            deadline: plan.deadline,
            reserve: plan.reserve,
            made_at: plan.made_at,
            ended: journal.ended.clone(),
            slack_seconds: slack(now).filter(|_| journal.ended.is_some()),
            pods,
            checkpoints: plan
                .checkpoints
                .iter()
                .map(|it| OfCheckpoint {
                    unit: it.unit.clone(),
                    members: it.members.len(),
                    by: it.by,
                    state: journal.checkpoints.get(&it.unit).cloned(),
                })
                .collect(),
            hard_killed: u32::try_from(killed).unwrap_or(u32::MAX),
            lost_work_seconds: journal.checkpoints.values().map(lost).sum(),
        }
    }

    /// Nothing was lost, and it ended well.
    pub fn good(&self) -> bool {
        let well = matches!(
            self.ended,
            Some(PlanEnd::Succeeded | PlanEnd::Superseded { .. } | PlanEnd::Moot { .. })
        );
        well && self.hard_killed == 0 && self.lost_work_seconds == 0
    }

    /// One word for the event on the node.
    pub fn reason(&self) -> &'static str {
        match &self.ended {
            Some(PlanEnd::Succeeded) => "RemediationSucceeded",
            Some(PlanEnd::Failed { .. }) => "RemediationFailed",
            Some(PlanEnd::Stuck { .. }) => "RemediationStuck",
            Some(PlanEnd::Superseded { .. }) => "RemediationSuperseded",
            Some(PlanEnd::Moot { .. }) => "RemediationPointless",
            Some(PlanEnd::Observed) | None => "RemediationObserved",
        }
    }

    /// What a person wants to know of it, in one line.
    pub fn sentence(&self) -> String {
        let count = |number: usize, one: &str, many: &str| match number {
            1 => format!("1 {one}"),
            n => format!("{n} {many}"),
        };
        let mut parts = vec![format!("rule {}", self.rule)];
        let gone = self
            .pods
            .iter()
            .filter(|pod| pod.actual.as_ref().is_some_and(|actual| actual.gone_at.is_some()));
        parts.push(format!("{} moved", count(gone.count(), "pod", "pods")));
        let durable: Vec<String> = self
            .checkpoints
            .iter()
            .filter_map(|it| match &it.state {
                Some(Handshake::Durable { reference: Some(reference), .. }) => {
                    Some(format!("{} at {reference}", it.unit))
                }
                Some(Handshake::Durable { .. }) => Some(it.unit.clone()),
                _ => None,
            })
            .collect();
        if !durable.is_empty() {
            parts.push(format!("checkpoints: {}", durable.join(", ")));
        }
        if self.hard_killed > 0 {
            let killed = count(self.hard_killed as usize, "pod did", "pods did");
            parts.push(format!("{killed} not end by themselves"));
        }
        if self.lost_work_seconds > 0 {
            let lost = crate::model::Span::seconds(self.lost_work_seconds);
            parts.push(format!("about {lost} of work are lost"));
        }
        if let Some(slack) = self.slack_seconds {
            parts.push(format!("{slack:.0} s before the deadline"));
        }
        parts.push(format!("incident {}", self.incident));
        parts.join("; ")
    }
}
