//! The journal: which line may follow which. Replaying it is the same function as writing it.

use crate::model::{Climbed, Entry, Handshake, Plan, PlanEnd, PodRecord, Undo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum StepState {
    Waiting,
    Started {
        undo: Undo,
    },
    /// It had started when the daemon died.
    Unknown {
        undo: Undo,
    },
    Succeeded {
        undo: Undo,
    },
    Skipped,
    Failed {
        why: String,
    },
    Undoing {
        undo: Undo,
    },
    Undone,
    UndoFailed {
        why: String,
    },
}

/// One plan's journal so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    pub steps: BTreeMap<String, StepState>,
    pub ended: Option<PlanEnd>,
    /// Lines so far: names the next one.
    pub lines: u64,
    /// Policies asked for, so that a repetition asks for nothing new.
    pub escalated: u32,
    /// How far each checkpoint has come, by unit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checkpoints: BTreeMap<String, Handshake>,
    /// How far each ladder has been climbed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub climbed: BTreeMap<String, Climbed>,
    /// What became of each pod that had to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodRecord>,
    /// Why the plan is being ended although no step failed: a life that comes later goes on ending it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// A line that may not stand where it stands: a defect of ours, or a foreign hand in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line} cannot follow {state}")]
pub struct Illegal {
    pub line: String,
    pub state: String,
}

impl Journal {
    pub fn new(plan: &Plan) -> Journal {
        let names = plan.steps.iter().chain(&plan.otherwise).map(|step| step.name.clone());
        let steps = names.map(|name| (name, StepState::Waiting)).collect();
        Journal {
            steps,
            ended: None,
            lines: 0,
            escalated: 0,
            checkpoints: BTreeMap::new(),
            climbed: BTreeMap::new(),
            pods: vec![],
            stopped: None,
        }
    }

    /// Takes one line in.
    ///
    /// # Errors
    /// Where the table does not have the transition; the journal is unchanged.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Illegal> {
        let illegal = |state: String| Illegal { line: format!("{entry:?}"), state };
        if let Some(how) = &self.ended {
            return Err(illegal(format!("{how:?}")));
        }
        if let Some(step) = entry.step() {
            let state = self.steps.get_mut(step).ok_or_else(|| illegal("no such step".into()))?;
            *state = next(state, entry).ok_or_else(|| illegal(format!("{state:?}")))?;
        }
        if let Entry::Checkpoint { unit, state, .. } = entry {
            let before = self.checkpoints.get(unit);
            if !follows(before, state) {
                return Err(illegal(format!("{before:?}")));
            }
            self.checkpoints.insert(unit.clone(), state.clone());
        }
        match entry {
            Entry::Ended { how } => self.ended = Some(how.clone()),
            Entry::Escalate { .. } => self.escalated += 1,
            Entry::Climbed { ladder, climbed, .. } => {
                self.climbed.insert(ladder.clone(), climbed.clone());
            }
            Entry::Pods { pods, .. } => self.pods.extend(pods.iter().cloned()),
            Entry::Skipped { why, .. } => {
                self.stopped.get_or_insert_with(|| why.clone());
            }
            _ => {}
        }
        self.lines += 1;
        Ok(())
    }

    pub fn state(&self, step: &str) -> &StepState {
        self.steps.get(step).unwrap_or(&StepState::Waiting)
    }

    /// The first step that failed, with its reason.
    pub fn failure<'a>(&'a self, plan: &'a Plan) -> Option<(&'a str, &'a str)> {
        plan.steps.iter().find_map(|step| match self.state(&step.name) {
            StepState::Failed { why } => Some((step.name.as_str(), why.as_str())),
            _ => None,
        })
    }
}

/// The table of handshakes: what is over stays so.
fn follows(before: Option<&Handshake>, next: &Handshake) -> bool {
    use Handshake::{Acknowledged, Durable, Expired, Requested};
    match (before, next) {
        (None, Requested { .. } | Durable { .. } | Expired { .. }) => true,
        (Some(Requested { .. }), Acknowledged { .. } | Durable { .. } | Expired { .. }) => true,
        (Some(Acknowledged { .. }), Durable { .. } | Expired { .. }) => true,
        (None, Acknowledged { .. }) | (Some(_), _) => false,
    }
}

/// The table.
fn next(state: &StepState, entry: &Entry) -> Option<StepState> {
    use StepState::{
        Failed, Skipped, Started, Succeeded, UndoFailed, Undoing, Undone, Unknown, Waiting,
    };
    Some(match (state, entry) {
        (Waiting, Entry::Started { undo, .. }) => Started { undo: undo.clone() },
        // What it was before the first try counts, not what that try left behind.
        (Unknown { undo }, Entry::Started { .. }) => Started { undo: undo.clone() },
        (
            Started { undo },
            Entry::Checkpoint { .. }
            | Entry::Pods { .. }
            | Entry::Climbed { .. }
            | Entry::Found { .. },
        ) => Started { undo: undo.clone() },
        (Started { undo }, Entry::Unknown { .. }) => Unknown { undo: undo.clone() },
        (Started { undo } | Unknown { undo }, Entry::Succeeded { .. }) => {
            Succeeded { undo: undo.clone() }
        }
        (Waiting | Started { .. } | Unknown { .. }, Entry::Skipped { .. }) => Skipped,
        (Waiting | Started { .. } | Unknown { .. }, Entry::Failed { why, .. }) => {
            Failed { why: why.clone() }
        }
        (Succeeded { undo } | Undoing { undo }, Entry::UndoStarted { .. }) => {
            Undoing { undo: undo.clone() }
        }
        (Undoing { .. }, Entry::Undone { .. }) => Undone,
        (Undoing { .. }, Entry::UndoFailed { why, .. }) => UndoFailed { why: why.clone() },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_stays_done() {
        let step = || "s".to_owned();
        let undo = || Undo::Uncordon { taints: vec![] };
        let started = || Entry::Started { step: step(), undo: Undo::Nothing };
        let succeeded = StepState::Succeeded { undo: undo() };
        assert_eq!(next(&succeeded, &started()), None);
        assert_eq!(next(&StepState::Undone, &Entry::UndoStarted { step: step() }), None);
        assert_eq!(next(&StepState::Waiting, &Entry::Unknown { step: step() }), None);
        let undoing = StepState::Undoing { undo: undo() };
        let again = next(&undoing, &Entry::UndoStarted { step: step() });
        assert_eq!(again, Some(undoing), "an undo is repeated after a crash");
        let unknown = next(&StepState::Started { undo: undo() }, &Entry::Unknown { step: step() });
        let repeated = next(&unknown.unwrap(), &started());
        assert_eq!(
            repeated,
            Some(StepState::Started { undo: undo() }),
            "what the first try found counts"
        );
    }
}
