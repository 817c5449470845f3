//! What a ladder has come to, and when to look again.

use super::{ANEW, Climb, Stage};
use crate::model::{Climbed, Climbing, Notice};
use jiff::Timestamp;
use serde_json::Value;

const UNFIT: &str = "FailedScheduling";
const KARPENTER: &str = "karpenter";

impl Climb {
    /// Karpenter says of a pod that it brings no node for it: where no offering is left, in its own words.
    /// Source: karpenter `pkg/controllers/provisioning/scheduling/events.go`, `PodFailedToSchedule`.
    pub(super) fn given_up(&self, told: &[Value]) -> Option<String> {
        let since = self.at.as_ref()?.at;
        let later = |notice: &Notice<'_>| {
            notice.at.parse::<Timestamp>().is_ok_and(|at| at.as_second() >= since.as_second())
        };
        let mut all = told.iter().map(Notice::of);
        let said = all.find(|it| it.reason == UNFIT && it.by == KARPENTER && later(it))?;
        Some(format!("Karpenter brings no node: {}", said.message))
    }

    /// The nodes, or why there are none.
    pub(in super::super) fn over(&self, now: Timestamp) -> Option<Result<String, String>> {
        match (&self.stage, &self.at) {
            (Stage::Over(nodes), Some(at)) => {
                let rung = self.order.as_ref().map(|order| order.source.to_string());
                let by = rung.unwrap_or_default();
                let nth = at.rung + 1;
                Some(Ok(format!("{} by {by}, rung {nth} of {}", nodes.join(", "), self.of.ladder)))
            }
            (_, Some(Climbed { state: Climbing::Yielded, .. })) if self.left => {
                Some(Ok(format!("{}: its pods wait for a node themselves", self.of.ladder)))
            }
            (_, Some(Climbed { state: Climbing::Refused { .. }, .. }))
                if self.left && now >= self.until =>
            {
                Some(Err(format!("{} has nothing: {}", self.of.ladder, self.whys())))
            }
            _ => None,
        }
    }

    /// The last of each rung.
    fn whys(&self) -> String {
        let from = self.refusals.len().saturating_sub(self.of.rungs.len());
        self.refusals[from..].join("; ")
    }

    pub(in super::super) fn busy(&self) -> bool {
        match &self.stage {
            Stage::Leave(spare) => spare.busy(),
            _ => self.turn.busy(),
        }
    }

    pub(in super::super) fn wake_at(&self) -> Option<Timestamp> {
        let own = match &self.stage {
            Stage::Over(_) => return None,
            Stage::Leave(spare) => spare.wake_at(),
            _ => self.turn.wake_at(),
        };
        let at = self.at.as_ref();
        let rung = at.and_then(|at| self.of.rungs.get(at.rung as usize).zip(Some(at.at)));
        let late = rung.and_then(|(rung, at)| at.checked_add(rung.within.0).ok());
        let anew = at.and_then(|at| at.at.checked_add(ANEW).ok()).filter(|_| self.left);
        let next = match self.left {
            true => anew,
            false => own.into_iter().chain(late).min(),
        };
        next.into_iter().chain([self.until]).min()
    }
}
