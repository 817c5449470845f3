//! What must be true, and when; and what must never be.

use super::shape;
use crate::model::Span;
use crate::rules::reading::{Entries, Faults, Node, text};
use crate::rules::{Code, Place};
use std::time::Duration;

/// A number that can be asked for at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// People who were called: triggers that rang.
    Pages,
    /// Rings of every kind.
    Rings,
    Unanswered,
    Incidents,
    IncidentsOpen,
    Decisions,
    Remediations,
    PodsRunning,
    PodsHardKilled,
    PodsEvicted,
    PodsDeleted,
    BudgetsViolated,
    Checkpoints,
    /// Seconds.
    LostWork,
    /// Seconds.
    NoticeToCordon,
    CordonedAtOnce,
    Cordoned,
    Nodes,
    /// Machines that were asked for and nothing runs on, and places that are held.
    Idle,
    /// Dollars.
    Spend,
    DeadLetters,
    WebCalls,
    Restarts,
    Events,
}

impl Fact {
    pub const ALL: [(&'static str, Fact); 24] = [
        ("pages", Fact::Pages),
        ("rings", Fact::Rings),
        ("unanswered", Fact::Unanswered),
        ("incidents", Fact::Incidents),
        ("incidents_open", Fact::IncidentsOpen),
        ("decisions", Fact::Decisions),
        ("remediations", Fact::Remediations),
        ("pods_running", Fact::PodsRunning),
        ("pods_hard_killed", Fact::PodsHardKilled),
        ("pods_evicted", Fact::PodsEvicted),
        ("pods_deleted", Fact::PodsDeleted),
        ("budgets_violated", Fact::BudgetsViolated),
        ("checkpoints", Fact::Checkpoints),
        ("lost_work", Fact::LostWork),
        ("notice_to_cordon_p99", Fact::NoticeToCordon),
        ("cordoned_at_once", Fact::CordonedAtOnce),
        ("cordoned", Fact::Cordoned),
        ("nodes", Fact::Nodes),
        ("idle", Fact::Idle),
        ("spend", Fact::Spend),
        ("dead_letters", Fact::DeadLetters),
        ("web_calls", Fact::WebCalls),
        ("restarts", Fact::Restarts),
        ("events", Fact::Events),
    ];

    pub fn word(self) -> &'static str {
        Fact::ALL.iter().find(|(_, it)| *it == self).map_or("", |(word, _)| *word)
    }
}

impl Fact {
    /// By what its entries can be told apart.
    fn filters(self) -> &'static [&'static str] {
        match self {
            Fact::Pages | Fact::Rings => &["to", "level", "about"],
            Fact::Incidents | Fact::IncidentsOpen | Fact::Cordoned => &["about"],
            Fact::Decisions => &["rule", "verdict", "about"],
            Fact::Remediations => &["rule", "ended", "about"],
            Fact::PodsRunning | Fact::Restarts => &["app"],
            Fact::Nodes => &["pool"],
            Fact::WebCalls => &["url"],
            _ => &[],
        }
    }
}

/// Which of them are counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub to: Option<String>,
    pub level: Option<u32>,
    /// The target, for example `node/spot-1`, or `node/spot-*`.
    pub about: Option<String>,
    pub rule: Option<String>,
    pub verdict: Option<String>,
    pub ended: Option<String>,
    /// `namespace/name`.
    pub app: Option<String>,
    pub pool: Option<String>,
    pub url: Option<String>,
}

/// Where the number has to lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Is(f64),
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
    Above(f64),
}

impl Bound {
    pub fn holds(self, number: f64) -> bool {
        const NEAR: f64 = 1e-9;
        match self {
            Bound::Is(wanted) => (number - wanted).abs() < NEAR,
            Bound::AtMost(most) => number <= most + NEAR,
            Bound::AtLeast(least) => number >= least - NEAR,
            Bound::Below(end) => number < end,
            Bound::Above(end) => number > end,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bound::Is(number) => write!(f, "{number}"),
            Bound::AtMost(number) => write!(f, "at most {number}"),
            Bound::AtLeast(number) => write!(f, "at least {number}"),
            Bound::Below(number) => write!(f, "below {number}"),
            Bound::Above(number) => write!(f, "above {number}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At that moment.
    At(Duration),
    /// At that moment or before.
    By(Duration),
    AtTheEnd,
}

#[derive(Debug, Clone)]
pub struct Expectation {
    pub fact: Fact,
    pub bound: Bound,
    pub filter: Filter,
    pub when: When,
    /// Where it stands in its file.
    pub place: Place,
}

impl Expectation {
    /// As one would say it: `pages to platform-on-call: 1`.
    pub fn describe(&self) -> String {
        let Filter { to, level, about, rule, verdict, ended, app, pool, url } = &self.filter;
        let mut words = vec![self.fact.word().replace('_', " ")];
        let mut add = |word: &str, value: &Option<String>| {
            words.extend(value.as_ref().map(|value| format!("{word} {value}")));
        };
        add("of", app);
        add("of pool", pool);
        add("by rule", rule);
        add("to", to);
        add("at level", &level.map(|level| level.to_string()));
        add("about", about);
        add("with verdict", verdict);
        add("that", ended);
        add("to", url);
        let when = match self.when {
            When::At(at) => format!(" after {}", crate::model::Span(at)),
            When::By(by) => format!(" by {}", crate::model::Span(by)),
            When::AtTheEnd => String::new(),
        };
        format!("{}{when}: {}", words.join(" "), self.bound)
    }
}

/// Reads one expectation.
pub(super) fn expectation(node: &Node, faults: &mut Faults) -> Option<Expectation> {
    let before = faults.0.len();
    let entries = Entries::of(node, &shape::EXPECTATION, faults)?;
    let misspelt = faults.0.len() > before;
    let facts: Vec<Fact> = Fact::ALL
        .iter()
        .filter(|(word, _)| entries.get(word).is_some())
        .map(|(_, fact)| *fact)
        .collect();
    let [fact] = facts.as_slice() else {
        if misspelt && facts.is_empty() {
            // What was meant is said already.
            return None;
        }
        let message = "an expectation is about exactly one number";
        let all: Vec<&str> = Fact::ALL.iter().map(|(word, _)| *word).collect();
        faults.add(Code::Conflict, &node.place, message).hint =
            Some(format!("one of {}", all.join(", ")));
        return None;
    };
    let value = entries.get(fact.word())?;
    let given = text(value, faults)?;
    let Some(bound) = bound(given, *fact) else {
        let fault = faults.add(Code::BadValue, &value.place, format!("`{given}` is no bound"));
        fault.hint =
            Some("write a number, `<= 3`, `>= 3`, `< 3` or `> 3`; lost_work and notice_to_cordon_p99 are durations".into());
        return None;
    };
    let mut only = |key: &str| entries.text(key, faults);
    let filter = Filter {
        to: only("to"),
        about: only("about"),
        rule: only("rule"),
        verdict: only("verdict"),
        ended: only("ended"),
        app: only("app"),
        pool: only("pool"),
        url: only("url"),
        level: entries.number("level", faults),
    };
    applies(*fact, &entries, faults);
    let (at, by) = (entries.span("at", faults), entries.span("by", faults));
    if by.is_some() && matches!(bound, Bound::AtMost(_) | Bound::Below(_)) {
        let fault =
            faults.add(Code::Conflict, &value.place, "at most so many is true from the start");
        fault.hint = Some("say `at` for that moment, or put what must not be under `never`".into());
    }
    let when = match (at, by) {
        (Some(at), None) => When::At(at.0),
        (None, Some(by)) => When::By(by.0),
        (None, None) => When::AtTheEnd,
        (Some(_), Some(_)) => {
            faults.add(Code::Conflict, &node.place, "either `at` or `by`");
            return None;
        }
    };
    Some(Expectation { fact: *fact, bound, filter, when, place: node.place.clone() })
}

/// Whether what is counted can be told apart as it is asked for.
fn applies(fact: Fact, entries: &Entries<'_>, faults: &mut Faults) {
    let all = ["to", "level", "about", "rule", "verdict", "ended", "app", "pool", "url"];
    for (key, node) in all.iter().filter_map(|key| Some((key, entries.get(key)?))) {
        if !fact.filters().contains(key) {
            let message = format!("{} are not counted by `{key}`", fact.word());
            let hint = match fact.filters() {
                [] => "they are counted all together".to_owned(),
                some => format!("they are counted by {}", some.join(", ")),
            };
            faults.add(Code::Conflict, &node.place, message).hint = Some(hint);
        }
    }
}

fn bound(text: &str, fact: Fact) -> Option<Bound> {
    let sign = ["<=", ">=", "<", ">", ""].into_iter().find(|sign| text.starts_with(sign))?;
    let rest = text[sign.len()..].trim();
    let number = match fact {
        Fact::LostWork | Fact::NoticeToCordon => rest.parse::<Span>().ok()?.0.as_secs_f64(),
        _ => rest.trim_start_matches('$').parse().ok()?,
    };
    Some(match sign {
        "<=" => Bound::AtMost(number),
        ">=" => Bound::AtLeast(number),
        "<" => Bound::Below(number),
        ">" => Bound::Above(number),
        _ => Bound::Is(number),
    })
}
