//! The words that count: `burst`, `sequence`, `count`.

use super::{Windows, counts_at, key, millis};
use crate::model::fnv1a;
use crate::rules::{Facts, Role, Rule, Sticky};

impl Windows {
    /// `burst`, `sequence` and `count`: whether the event goes on.
    pub(super) fn counted(
        &mut self,
        rule: &Rule,
        role: Role,
        facts: &Facts<'_>,
    ) -> Result<bool, String> {
        let at = counts_at(rule, facts).as_millisecond();
        let horizon = facts.now.as_millisecond() - millis(rule.words.lateness);
        let on = self.burst(rule, at, horizon, facts)?;
        let on = on && self.sequence(rule, role, at, horizon, facts)?;
        Ok(on && self.count(rule, at, horizon, facts)?)
    }

    fn burst(
        &mut self,
        rule: &Rule,
        at: i64,
        horizon: i64,
        facts: &Facts<'_>,
    ) -> Result<bool, String> {
        let Some(burst) = &rule.words.burst else { return Ok(true) };
        let key = key(&burst.by, facts)?;
        let holds = |it: &&Sticky| matches!(it.condition.holds(facts), Ok(true));
        let hold = burst.sticky.as_ref().filter(holds).map_or(burst.gap, |sticky| sticky.hold);
        match self.of(rule).burst.at(&key, |cell| cell.over(horizon)) {
            Some(cell) => Ok(cell.take(at, millis(hold), horizon)),
            None => self.full(),
        }
    }

    fn sequence(
        &mut self,
        rule: &Rule,
        role: Role,
        at: i64,
        horizon: i64,
        facts: &Facts<'_>,
    ) -> Result<bool, String> {
        let Some(sequence) = &rule.words.sequence else { return Ok(true) };
        let key = key(&sequence.by, facts)?;
        let within = millis(sequence.within);
        let step = match role {
            Role::Next(step) => step + 1,
            Role::Own | Role::Expected => 0,
        };
        let places = sequence.then.len() + 1;
        match self.of(rule).sequence.at(&key, |cell| cell.over(horizon, within)) {
            Some(cell) => Ok(cell.take(step, at, places, within, horizon)),
            None => self.full(),
        }
    }

    fn count(
        &mut self,
        rule: &Rule,
        at: i64,
        horizon: i64,
        facts: &Facts<'_>,
    ) -> Result<bool, String> {
        let Some(count) = &rule.words.count else { return Ok(true) };
        let key = key(&count.by, facts)?;
        let within = millis(count.within);
        let value = match &count.distinct {
            Some(of) => match of.key(facts) {
                Ok(text) => Some(fnv1a(text.bytes())),
                Err(miss) => return Err(format!("nothing to tell apart: {miss}")),
            },
            None => None,
        };
        let wanted = usize::try_from(count.at_least).unwrap_or(usize::MAX);
        match self.of(rule).count.at(&key, |cell| cell.over(horizon, within)) {
            Some(cell) => Ok(cell.take(at, value, wanted, within)),
            None => self.full(),
        }
    }
}
