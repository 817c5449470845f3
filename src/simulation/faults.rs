//! Faults: on schedule or drawn from the seed, at every call to the outside.

use super::dice::Dice;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Whom a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outside {
    ApiServer,
    Log,
    Keys,
    Web,
    Pager,
    /// SQS.
    Queue,
    /// Auto Scaling.
    Cloud,
}

impl Outside {
    pub const ALL: [(&'static str, Outside); 7] = [
        ("api_server", Outside::ApiServer),
        ("log", Outside::Log),
        ("keys", Outside::Keys),
        ("web", Outside::Web),
        ("pagers", Outside::Pager),
        ("queue", Outside::Queue),
        ("cloud", Outside::Cloud),
    ];

    pub fn word(self) -> &'static str {
        Outside::ALL.iter().find(|(_, it)| *it == self).map_or("", |(word, _)| *word)
    }
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mishap {
    /// It takes seconds.
    Slow,
    /// It never arrives.
    LostBefore,
    /// It arrives, and the answer does not come back.
    LostAfter,
    /// It arrives twice.
    Twice,
    /// Not now: 503, or whatever the far end has for it.
    Refused,
    /// The process dies before it is sent.
    Crash,
    /// The process dies before the answer is heard.
    CrashAfter,
}

impl Mishap {
    pub const ALL: [(&'static str, Mishap); 7] = [
        ("slow", Mishap::Slow),
        ("lost-before", Mishap::LostBefore),
        ("lost-after", Mishap::LostAfter),
        ("twice", Mishap::Twice),
        ("refused", Mishap::Refused),
        ("crash", Mishap::Crash),
        ("crash-after", Mishap::CrashAfter),
    ];

    pub fn word(self) -> &'static str {
        Mishap::ALL.iter().find(|(_, it)| *it == self).map_or("", |(word, _)| *word)
    }
}

/// How a party behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// 5xx, 503, not reachable: nothing happens.
    Unavailable,
    /// Every call takes so long.
    Slow(Duration),
    /// The log has no room.
    Full,
    /// The effect happens; the answer does not come.
    AnswersLost,
    /// 403 by RBAC.
    Forbidden,
    /// 429 with Retry-After: the budget is still being processed.
    StillProcessing,
    /// 504: too many conflicts on one budget.
    Conflicts,
    /// It says no for good.
    RefusesForGood,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spell {
    pub whom: Outside,
    /// Only this contact, host or node.
    pub only: Option<String>,
    pub trouble: Trouble,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// How often each mishap happens, in a thousand calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates(pub BTreeMap<Mishap, u32>);

/// Where mishaps come from.
#[derive(Debug, Clone, Default)]
pub enum Source {
    #[default]
    None,
    /// Drawn from the seed.
    Drawn(Rates),
    /// These and no others, by number of the call.
    Listed(BTreeMap<u64, Mishap>),
}

#[derive(Debug)]
pub(super) struct Faults {
    /// For how long calls take.
    pace: Dice,
    /// For what goes wrong: of their own, so that a fault left out changes nothing else.
    dice: Dice,
    source: Source,
    pub(super) spells: Vec<Spell>,
    calls: u64,
    /// What was drawn, for repeating it.
    pub(super) happened: BTreeMap<u64, Mishap>,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) number: u64,
    pub(super) latency: Duration,
    pub(super) mishap: Option<Mishap>,
    pub(super) trouble: Option<Trouble>,
}

impl Faults {
    pub(super) fn new(seed: u64, source: Source, spells: Vec<Spell>) -> Faults {
        Faults {
            pace: Dice::for_purpose(seed, "pace"),
            dice: Dice::for_purpose(seed, "faults"),
            source,
            spells,
            calls: 0,
            happened: BTreeMap::new(),
        }
    }

    /// From now on nothing goes wrong.
    pub(super) fn heal(&mut self) {
        self.source = Source::None;
        self.spells.clear();
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn fate(&mut self, whom: Outside, about: &str, now: Timestamp) -> Fate {
        self.calls += 1;
        let (least, most) = match whom {
            Outside::ApiServer => (4, 25),
            Outside::Log | Outside::Keys => (1, 2),
            Outside::Queue => (5, 30),
            Outside::Web | Outside::Cloud => (20, 200),
            Outside::Pager => (80, 400),
        };
        let mut latency = Duration::from_millis(self.pace.between(least, most));
        let more = Duration::from_millis(self.pace.between(500, 8000));
        let mishap = match &self.source {
            Source::None => None,
            Source::Listed(listed) => listed.get(&self.calls).copied(),
            Source::Drawn(rates) => {
                let dice = &mut self.dice;
                // Every rate is thrown for, so that one more does not shift the others.
                let hits: Vec<Mishap> = rates
                    .0
                    .iter()
                    .filter(|(_, rate)| dice.permille(**rate))
                    .map(|(it, _)| *it)
                    .collect();
                hits.first().copied()
            }
        };
        if let Some(mishap) = mishap {
            self.happened.insert(self.calls, mishap);
        }
        let trouble = self.trouble(whom, about, now);
        if mishap == Some(Mishap::Slow) {
            latency += more;
        }
        if let Some(Trouble::Slow(more)) = trouble {
            latency += more;
        }
        Fate { number: self.calls, latency, mishap, trouble }
    }

    /// How the party behaves now.
    pub(super) fn trouble(&self, whom: Outside, about: &str, now: Timestamp) -> Option<Trouble> {
        let holds = |spell: &&Spell| {
            spell.whom == whom
                && spell.from <= now
                && now < spell.until
                && spell.only.as_ref().is_none_or(|only| about.contains(only.as_str()))
        };
        self.spells.iter().find(holds).map(|spell| spell.trouble)
    }
}
