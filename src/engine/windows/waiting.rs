//! The words that wait: `for`, `absent`, the rule's hours, `once_after`.

use super::timers::{Joined, Pending};
use super::{Passage, WAITING, Windows, counts_at, happened, key, millis};
use crate::model::Span;
use crate::rules::{Absent, By, ByWhen, Facts, Once, Rule, allowed};
use jiff::Timestamp;

impl Windows {
    /// What `absent` waits for has come.
    pub(super) fn expected(&mut self, rule: &Rule, facts: &Facts<'_>) -> Result<bool, String> {
        let Some(absent) = &rule.words.absent else { return Ok(false) };
        let at = counts_at(rule, facts);
        let key = key(&absent.by, facts)?;
        let name = (rule.name.clone(), WAITING[1].to_owned(), key.clone());
        if self.timers.get(&name).is_some_and(|pending| pending.since <= at) {
            self.timers.stop(&name);
        }
        let horizon = facts.now.as_millisecond() - millis(rule.words.lateness);
        match self.of(rule).came.at(&key, |came| *came < horizon) {
            Some(came) => *came = (*came).max(at.as_millisecond()),
            None => return self.full(),
        }
        Ok(false)
    }

    /// The words from the `from`th of those that wait.
    pub(super) fn pass(&mut self, rule: &Rule, from: usize, facts: &Facts<'_>) -> Passage {
        let words = &rule.words;
        if from < 1
            && let Some(hold) = &words.hold
        {
            return self.wait(rule, 0, &hold.by, hold.time, facts);
        }
        if from < 2
            && let Some(absent) = &words.absent
        {
            return self.expect(rule, absent, facts);
        }
        if from < 3
            && let Err((hours, until)) = allowed(&words.during, &words.except, facts.now)
        {
            if let (Some(until), Some(alert)) = (until, &facts.event.data.alert) {
                let key = alert.fingerprint.clone();
                let pending = Pending { due: until, ..pending(rule, facts, &[]) };
                self.start(rule, 2, key, pending);
            }
            return Passage::Outside { hours, until };
        }
        if from < 4
            && let Some(throttle) = rule.throttle.as_ref().filter(|it| it.once == Once::After)
        {
            return self.wait(rule, 3, &throttle.by, throttle.time, facts);
        }
        Passage::Through
    }

    fn start(&mut self, rule: &Rule, word: usize, key: String, pending: Pending) -> Passage {
        let name = (rule.name.clone(), WAITING[word].to_owned(), key);
        if self.timers.start(name, pending) {
            return Passage::Kept;
        }
        self.refused += 1;
        Passage::Ignored("there are too many timers".into())
    }

    /// Starts a timer, or joins the one that runs.
    fn wait(
        &mut self,
        rule: &Rule,
        word: usize,
        by: &By,
        time: Span,
        facts: &Facts<'_>,
    ) -> Passage {
        let key = match if word == 0 { hold_key(by, facts) } else { key(by, facts) } {
            Ok(key) => key,
            Err(why) => return Passage::Ignored(why),
        };
        // A hold began when the event says; what is collected is collected from now on.
        let since = happened(facts.event, facts.now);
        let from = if word == 0 { since } else { facts.now };
        let due = from.checked_add(time.0).unwrap_or(Timestamp::MAX);
        let name = (rule.name.clone(), WAITING[word].to_owned(), key.clone());
        let subject = facts.event.subject.to_string();
        if let Some(running) = self.timers.get(&name) {
            // A group is told of when its time is up, whoever of it is left.
            let due = running.due;
            let joined = Joined { due, since, event: Box::new(facts.event.clone()) };
            self.timers.join(&name, joined, Some(subject));
            return Passage::Kept;
        }
        if word == 0 && due <= facts.now {
            return self.pass(rule, 1, facts);
        }
        self.start(rule, word, key, Pending { due, ..pending(rule, facts, &[subject]) })
    }

    /// `absent`: after an event another is expected, or the same again.
    fn expect(&mut self, rule: &Rule, absent: &Absent, facts: &Facts<'_>) -> Passage {
        let other = absent.other.is_some();
        let key = match key(&absent.by, facts) {
            Ok(key) => key,
            Err(why) => return Passage::Ignored(why),
        };
        let since = counts_at(rule, facts);
        let due = match &absent.by_when {
            ByWhen::Within(within) => since.checked_add(within.0).unwrap_or(Timestamp::MAX),
            ByWhen::Until(until) => match until.time(facts) {
                Ok(until) => until.max(since),
                Err(miss) => return Passage::Ignored(miss.to_string()),
            },
        };
        let name = (rule.name.clone(), WAITING[1].to_owned(), key.clone());
        let at = since.as_millisecond();
        let horizon = facts.now.as_millisecond() - millis(rule.words.lateness);
        let Some(came) = self.of(rule).came.at(&key, |came| *came < horizon) else {
            return self.full().map_or_else(Passage::Ignored, |_| Passage::Kept);
        };
        // What came after it has come already.
        let late = *came >= at;
        if !other {
            *came = (*came).max(at);
        }
        if late {
            return Passage::Kept;
        }
        let joined = Joined { due, since, event: Box::new(facts.event.clone()) };
        if other && self.timers.join(&name, joined, None) {
            return Passage::Kept;
        }
        self.start(rule, 1, key, Pending { due, since, ..pending(rule, facts, &[]) })
    }

    /// An event of the rule's own types of which its condition does not hold: what was held is not any more.
    pub(in crate::engine) fn broken(&mut self, rule: &Rule, facts: &Facts<'_>) {
        let Some(hold) = &rule.words.hold else { return };
        if let Ok(key) = hold_key(&hold.by, facts) {
            let name = (rule.name.clone(), WAITING[0].to_owned(), key);
            let at = happened(facts.event, facts.now);
            if self.timers.get(&name).is_some_and(|pending| pending.since <= at) {
                self.timers.stop(&name);
            }
        }
    }
}

/// What the rule watches for, by the key of this event: the same as of the timer that found it.
pub(in crate::engine) fn watched(rule: &Rule, facts: &Facts<'_>) -> Option<String> {
    let key = match (&rule.words.hold, &rule.words.absent) {
        (Some(hold), _) => hold_key(&hold.by, facts),
        (None, Some(absent)) => key(&absent.by, facts),
        (None, None) => return None,
    };
    Some(crate::engine::correlate::watch(&rule.name, &key.ok()?))
}

/// What holds for itself: of alerts each one, whatever else is said of the same target.
pub(super) fn hold_key(by: &By, facts: &Facts<'_>) -> Result<String, String> {
    let key = key(by, facts)?;
    Ok(match &facts.event.data.alert {
        Some(alert) => format!("{key} {}", alert.fingerprint),
        None => key,
    })
}

fn pending(rule: &Rule, facts: &Facts<'_>, group: &[String]) -> Pending {
    Pending {
        version: rule.words.version.clone(),
        joined: vec![],
        silent: false,
        due: facts.now,
        since: happened(facts.event, facts.now),
        event: Box::new(facts.event.clone()),
        group: group.to_vec(),
    }
}
