//! What the rooms tell of their work, as metrics.

use crate::engine::{Miscount, Said, State};
use crate::model::{Plan, PlanEnd, Suppression, Verdict};
use crate::remediation::Record;
use crate::telemetry::Metrics;
use std::{collections::BTreeMap, time::Duration};

#[derive(Clone)]
pub struct Witness(pub Metrics);

impl crate::engine::run::Witness for Witness {
    fn decided(&self, kind: &str, waited: Duration, said: &[Said]) {
        self.0.decided(waited);
        for said in said {
            let Said::Decision(decision) = said else { continue };
            let rule = &decision.data.rule;
            let word = match &decision.data.verdict {
                Verdict::Act { .. } => "act",
                Verdict::Tell => "tell",
                Verdict::Suppressed { reason: Suppression::Throttled { .. } } => "throttled",
                Verdict::Suppressed { reason: Suppression::Hours { .. } } => "hours",
                Verdict::Suppressed { reason: Suppression::Busy { .. } } => "busy",
                Verdict::Suppressed { reason: Suppression::Loop } => "loop",
                Verdict::Suppressed { reason: Suppression::Paused { .. } } => "paused",
                Verdict::Suppressed { reason: Suppression::Guard { guard, .. } } => {
                    self.0.guard_denied(guard);
                    "guard"
                }
            };
            self.0.verdict(rule, word);
            let (incident, traceparent) = (&decision.data.incident, &decision.traceparent);
            let span = tracing::info_span!("incident", incident, traceparent);
            tracing::info!(parent: &span, rule, kind, verdict = word, "decided");
        }
    }

    fn missed(&self, miss: &Miscount) {
        tracing::debug!(rule = miss.rule, why = miss.why, "no answer, so no match");
        self.0.missed(&miss.rule);
    }

    fn heard(&self, feed: &str, lag: f64, confirms: bool) {
        self.0.heard(feed, lag, confirms);
    }

    fn state(&self, state: &State, lag: u64) {
        let episodes = &state.episodes;
        self.0.state(lag, state.incidents.len(), episodes.len(), episodes.overflowed);
        let windows = &state.windows;
        self.0.windows(windows.live(), windows.refused, windows.late);
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for (guard, _, count) in state.guards.holders() {
            *held.entry(guard.to_owned()).or_default() += count;
        }
        self.0.guard_held(held.into_iter());
    }
}

impl crate::remediation::run::Witness for Witness {
    fn first_call(&self, _: &Plan, waited: Duration) {
        self.0.first_call(waited);
    }

    fn ended(&self, plan: &Plan, how: &PlanEnd, record: &Record) {
        self.0.remediated(&plan.rule, how.word(), record.slack_seconds);
        self.0.lost(&plan.rule, record.hard_killed, record.lost_work_seconds);
    }
}

impl crate::escalation::run::Witness for Witness {
    fn paged(&self, provider: &'static str, outcome: &'static str) {
        self.0.paged(provider, outcome);
    }

    fn unanswered(&self, _: &str) {
        self.0.unanswered();
    }
}

impl crate::sources::sqs::Witness for Witness {
    fn received(&self, tally: &crate::sources::Tally) {
        self.0.received("sqs", "accepted", tally.accepted);
        self.0.received("sqs", "duplicate", tally.duplicates);
        self.0.received("sqs", "dead_letter", tally.dead_letters);
    }

    fn passed_over(&self, what: &'static str, count: usize) {
        self.0.received("sqs", what, count);
    }
}
