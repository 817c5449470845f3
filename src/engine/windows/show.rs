//! What the windows remember, in words: for `explain`.

use super::cells::Steps;
use super::waiting::hold_key;
use super::{WAITING, Windows, key, millis};
use crate::rules::{Facts, Once, Rule, Words};

impl Windows {
    /// What the words of `rule` remember for the event: word and words for people.
    pub(in crate::engine) fn show(
        &self,
        rule: &Rule,
        facts: &Facts<'_>,
    ) -> Vec<(&'static str, String)> {
        let Words { burst, sequence, count, hold, absent, .. } = &rule.words;
        let known = self.rules.get(&rule.name).filter(|known| known.version == rule.words.version);
        let now = facts.now.as_millisecond();
        let mut shown = vec![];
        let mut tell = |word, key: Result<String, String>, text: &dyn Fn(&str) -> String| {
            let text = match key {
                Ok(key) => format!("{} (key {key:?})", text(&key)),
                Err(why) => why,
            };
            shown.push((word, text));
        };
        if let Some(burst) = burst {
            let open =
                |key: &str| known.and_then(|it| it.burst.get(key)).is_some_and(|it| it.open(now));
            tell("burst", key(&burst.by, facts), &|key| {
                if open(key) { "one is open".into() } else { "none is open".into() }
            });
        }
        if let Some(sequence) = sequence {
            let filled =
                |key: &str| known.and_then(|it| it.sequence.get(key)).map_or(0, Steps::filled);
            tell("sequence", key(&sequence.by, facts), &|key| {
                format!("{} of {}", filled(key), sequence.then.len() + 1)
            });
        }
        if let Some(count) = count {
            let within = millis(count.within);
            let so_far = |key: &str| {
                known.and_then(|it| it.count.get(key)).map_or(0, |it| it.count(now, within))
            };
            tell("count", key(&count.by, facts), &|key| {
                format!("{} of {} within {}", so_far(key), count.at_least, count.within)
            });
        }
        let timer = |word: usize, key: &str| {
            let name = (rule.name.clone(), WAITING[word].to_owned(), key.to_owned());
            self.timers
                .get(&name)
                .map_or("no timer runs".into(), |it| format!("goes off at {}", it.due))
        };
        if let Some(hold) = hold {
            tell("for", hold_key(&hold.by, facts), &|key| timer(0, key));
        }
        if let Some(absent) = absent {
            tell("absent", key(&absent.by, facts), &|key| timer(1, key));
        }
        if let Some(throttle) = rule.throttle.as_ref().filter(|it| it.once == Once::After) {
            tell("once_after", key(&throttle.by, facts), &|key| timer(3, key));
        }
        shown
    }
}
