//! The case of an incident: everything a person who is called will want to see, gathered as it happens.

use crate::model::{
    Climbing, Decision, Entry, Finding, Handshake, Health, Level, Report, Severity,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lines of the remediation's own trace that are kept.
const MOST_LINES: usize = 50;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub title: String,
    pub target: String,
    pub severity: Severity,
    /// The incident's trace: every page carries it.
    #[serde(default)]
    pub traceparent: String,
    /// Given by rule and event: `runbook`, `dashboards`, `events`.
    pub evidence: BTreeMap<String, String>,
    /// What the robot did, line by line.
    pub trace: Vec<String>,
}

impl Case {
    pub(super) fn decided(&mut self, decision: &Decision) {
        self.severity = self.severity.max(decision.severity);
        for (name, text) in &decision.evidence {
            self.evidence.insert(name.clone(), text.clone());
        }
    }

    pub(super) fn acted(&mut self, entry: &Entry) {
        let line = match entry {
            Entry::Started { .. }
            | Entry::Accepted
            | Entry::Pods { .. }
            | Entry::Escalate { .. }
            | Entry::Notify { .. } => return,
            Entry::Succeeded { step, note, .. } if note.is_empty() => format!("{step}: done"),
            Entry::Succeeded { step, note, .. } => format!("{step}: {note}"),
            Entry::Failed { step, why } => format!("{step}: failed: {why}"),
            Entry::Skipped { step, why } => format!("{step}: skipped: {why}"),
            Entry::Unknown { step } => format!("{step}: interrupted by a restart"),
            Entry::Checkpoint { unit, state, .. } => match state {
                Handshake::Requested { .. } => return,
                Handshake::Acknowledged { .. } => format!("checkpoint of {unit}: begun"),
                Handshake::Durable { reference: Some(at), .. } => {
                    format!("checkpoint of {unit}: durable, {at}")
                }
                Handshake::Durable { .. } => format!("checkpoint of {unit}: durable"),
                Handshake::Expired { why, lost } => {
                    format!("checkpoint of {unit}: none: {why}; about {lost} of work are lost")
                }
            },
            Entry::Climbed { ladder, climbed, .. } => {
                let nth = climbed.rung + 1;
                match &climbed.state {
                    Climbing::Asked => format!("capacity by {ladder}: rung {nth} is asked"),
                    Climbing::Refused { why } => format!("capacity by {ladder}: rung {nth}: {why}"),
                    Climbing::Yielded => {
                        format!("capacity by {ladder}: its pods wait for a node themselves")
                    }
                    Climbing::Ready { nodes } => {
                        format!("capacity by {ladder}: ready: {}", nodes.join(", "))
                    }
                }
            }
            Entry::Found { topic, findings, .. } => {
                let ill = findings.iter().filter(|it| it.health != Health::Good);
                let ill: Vec<String> = ill.map(Finding::to_string).collect();
                let all = if ill.is_empty() { "nothing is wrong".into() } else { ill.join("\n") };
                let told = self.evidence.entry("diagnosis".into()).or_default();
                if !told.is_empty() {
                    told.push('\n');
                }
                told.push_str(&format!("{}:\n{all}", topic.word()));
                return;
            }
            Entry::UndoStarted { step } => format!("{step}: taking it back"),
            Entry::Undone { step } => format!("{step}: taken back"),
            Entry::UndoFailed { step, why } => format!("{step}: could not be taken back: {why}"),
            Entry::Ended { how } => format!("the remediation {}", how.word()),
        };
        if self.trace.len() < MOST_LINES {
            self.trace.push(line);
        }
    }

    /// What is said at one level: what it has to carry, and what could not be had.
    pub(super) fn report(
        &self,
        incident: &str,
        policy: &str,
        number: u32,
        level: &Level,
        why: &str,
    ) -> Report {
        let (mut evidence, mut missing) = (vec![], vec![]);
        for name in &level.evidence {
            match self.piece(name) {
                Ok(text) => evidence.push((name.clone(), text)),
                Err(why) => missing.push((name.clone(), why.to_owned())),
            }
        }
        Report {
            incident: incident.into(),
            title: self.title.clone(),
            target: self.target.clone(),
            severity: self.severity,
            policy: policy.into(),
            level: number,
            why: why.into(),
            evidence,
            missing,
            thread: None,
        }
    }

    fn piece(&self, name: &str) -> Result<String, &'static str> {
        match name {
            "remediation" if !self.trace.is_empty() => Ok(self.trace.join("\n")),
            "remediation" => Err("nothing was done"),
            "logs" => Err("no log source is configured"),
            "backup" => Err("no backup was looked up"),
            "diagnosis" => self.evidence.get(name).cloned().ok_or("the rule asks for none"),
            "runbook" => {
                self.evidence.get(name).cloned().ok_or("neither the rule nor the alert names one")
            }
            "dashboards" => {
                self.evidence.get(name).cloned().ok_or("neither the rule nor the alert names any")
            }
            _ => self.evidence.get(name).cloned().ok_or("the event carried none"),
        }
    }
}
