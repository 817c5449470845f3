//! Why: one event against every rule, clause by clause. What `medevac explain` prints.

use super::windows::Passage;
use super::{Input, News, Said, State, step, verdict};
use crate::model::{Envelope, Event, Mode, Suppression, Verdict};
use crate::rules::{Clause, Facts, Once, Role, Rule, Ruleset};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the rules make of one event, as things stood before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    pub event: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: String,
    /// What is new about its alert; `other` where it is none.
    pub news: String,
    pub rules: Vec<OfRule>,
    /// Rules that hear no events of this type.
    pub others: usize,
    /// What the log says that was decided on it then: rule and verdict.
    #[serde(default)]
    pub recorded: Vec<(String, String)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfRule {
    pub rule: String,
    pub mode: Mode,
    pub heard_as: String,
    pub clauses: Vec<OfClause>,
    /// Each time word with what it remembers.
    pub words: Vec<(String, String)>,
    pub throttle: Option<String>,
    pub guards: Vec<String>,
    /// The whole of it in one line.
    pub verdict: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfClause {
    pub text: String,
    /// `holds`, `fails`, or `no answer` with why.
    pub verdict: String,
    /// The values it was decided on.
    pub values: Vec<(String, String)>,
}

/// Explains `event`, which the log took at `now` as its record `seq`; `state` is what was before it. Only `rule`,
/// where one is named.
pub fn explain(
    rules: &Ruleset,
    state: &State,
    seq: u64,
    event: &Envelope<Event>,
    now: Timestamp,
    rule: Option<&str>,
) -> Explanation {
    let facts = Facts::new(event, now);
    let mut after = state.clone();
    let input = Input::Event(Box::new(event.clone()));
    let seq = seq.max(state.inputs_upto + 1);
    let alert = event.data.alert.as_ref();
    let news = match alert {
        Some(alert) => state.episodes.clone().take(alert, now),
        None if state.notices.clone().confirms(event, now) => News::Again,
        None => News::Other,
    };
    let said = step(rules, &mut after, seq, &input, now, &mut vec![]);
    let hears = |rule: &&Rule| roles(rule, &event.kind).next().is_some();
    let wanted = |it: &&Rule| rule.is_none_or(|name| it.name == name);
    let heard: Vec<&Rule> = rules.rules.iter().filter(wanted).filter(hears).collect();
    let of = |rule: &Rule, role| of_rule(rules, state, &facts, rule, role, news, &said);
    Explanation {
        event: event.id.to_string(),
        kind: event.kind.clone(),
        subject: event.subject.to_string(),
        news: format!("{news:?}").to_lowercase(),
        recorded: vec![],
        others: rules.rules.iter().filter(wanted).count() - heard.len(),
        rules: heard
            .into_iter()
            .flat_map(|rule| roles(rule, &event.kind).map(move |role| (rule, role)))
            .map(|(rule, role)| of(rule, role))
            .collect(),
    }
}

/// As what a rule hears events of that type.
fn roles<'a>(rule: &'a Rule, kind: &'a str) -> impl Iterator<Item = Role> + 'a {
    let names = move |when: &[String]| when.iter().any(|it| it == kind);
    let own = names(&rule.when).then_some(Role::Own);
    let next = rule.words.sequence.iter().flat_map(|it| it.then.iter().enumerate());
    let next = next.filter(move |(_, it)| names(&it.when)).map(|(step, _)| Role::Next(step));
    let expected = rule.words.absent.iter().filter_map(|it| it.other.as_ref());
    let expected = expected.filter(move |it| names(&it.when)).map(|_| Role::Expected);
    own.into_iter().chain(next).chain(expected)
}

fn of_rule(
    rules: &Ruleset,
    state: &State,
    facts: &Facts<'_>,
    rule: &Rule,
    role: Role,
    news: News,
    said: &[Said],
) -> OfRule {
    let condition = rule.heard_as(role);
    let clauses = condition.iter().flat_map(|condition| condition.clauses());
    OfRule {
        rule: rule.name.clone(),
        mode: rule.mode,
        heard_as: match role {
            Role::Own => "its own event".into(),
            Role::Next(step) => format!("event {} of its sequence", step + 2),
            Role::Expected => "the event that it expects".into(),
        },
        clauses: clauses.map(|clause| of_clause(clause, facts)).collect(),
        words: state
            .windows
            .show(rule, facts)
            .into_iter()
            .map(|(word, text)| (word.to_owned(), text))
            .collect(),
        throttle: throttle(state, facts, rule),
        guards: guards(rules, state, facts, rule),
        verdict: in_the_end(rules, state, facts, rule, role, news, said),
    }
}

fn of_clause(clause: &Clause, facts: &Facts<'_>) -> OfClause {
    OfClause {
        text: clause.text.to_string(),
        verdict: match clause.holds(facts) {
            Ok(true) => "holds".into(),
            Ok(false) => "fails".into(),
            Err(miss) => format!("no answer: {miss}"),
        },
        values: clause.seen(facts),
    }
}

fn in_the_end(
    rules: &Ruleset,
    state: &State,
    facts: &Facts<'_>,
    rule: &Rule,
    role: Role,
    news: News,
    said: &[Said],
) -> String {
    let condition = rule.heard_as(role);
    let holds = condition.is_none_or(|condition| matches!(condition.holds(facts), Ok(true)));
    let decided = said.iter().find_map(|said| match said {
        Said::Decision(decision)
            if decision.data.rule == rule.name
                && decision.cause.iter().last() == Some(facts.event.id.as_str()) =>
        {
            Some(&decision.data.verdict)
        }
        _ => None,
    });
    match decided {
        _ if !holds => "no match: its condition does not hold".into(),
        _ if news == News::Again && facts.event.data.alert.is_none() => {
            let first = state.notices.told_by(facts.event).unwrap_or("another feed");
            format!("nothing new: {first} has told of it already, and it was decided on then")
        }
        _ if matches!(news, News::Again | News::Flapped) => {
            "nothing new: this alert fires already, and was decided on then".into()
        }
        _ if news == News::Stale => "nothing new: this is a late copy of what is over".into(),
        Some(verdict) => in_words(verdict),
        None => {
            let mut windows = state.windows.clone();
            let again = rule.looks_back() && !windows.first_time(&facts.event.id, rules, facts.now);
            match windows.hear(rule, role, facts, again) {
                Passage::Through => "it matches, and the rule is quiet for this target".into(),
                Passage::Kept => "remembered by its time words; not yet complete".into(),
                Passage::Ignored(why) => format!("passed over: {why}"),
                Passage::Outside { hours, .. } => format!("outside of its hours, {hours}"),
            }
        }
    }
}

fn throttle(state: &State, facts: &Facts<'_>, rule: &Rule) -> Option<String> {
    let throttle = rule.throttle.as_ref().filter(|it| it.once == Once::Within)?;
    let (name, key) = verdict::throttle_key(rule, facts)?;
    Some(match state.quiet_until(&name, facts.now) {
        Some(until) => format!("key {key:?}: quiet until {until}"),
        None => format!("key {key:?}: free, once within {}", throttle.time),
    })
}

fn guards(rules: &Ruleset, state: &State, facts: &Facts<'_>, rule: &Rule) -> Vec<String> {
    let guards = rule.guards.iter().filter_map(|name| rules.guards.get(name));
    guards
        .map(|guard| {
            let (key, answer) = verdict::ask_guard(state, guard, rule, facts);
            let of = if key.is_empty() { String::new() } else { format!(" for {key:?}") };
            match answer {
                Ok(held) => format!("{}{of}: would give leave; {held} hold it", guard.name),
                Err(limit) => format!("{}{of}: would refuse, {limit}", guard.name),
            }
        })
        .collect()
}

/// A verdict for people.
pub fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Act { steps, .. } => {
            let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
            format!("acts: {}", names.join(", "))
        }
        Verdict::Tell => "tells a person".into(),
        Verdict::Suppressed { reason } => match reason {
            Suppression::Throttled { until, .. } => format!("suppressed: throttled until {until}"),
            Suppression::Guard { guard, limit, held, .. } => {
                format!("suppressed: guard `{guard}` refuses, {limit}; {held} hold leave")
            }
            Suppression::Paused { by, reason, until, .. } => {
                format!("suppressed: paused by {by} until {until}: {reason}")
            }
            Suppression::Hours { hours, until } => {
                let when = until.map(|until| format!(" until {until}")).unwrap_or_default();
                format!("suppressed: outside of its hours, {hours}{when}")
            }
            Suppression::Busy { plan } => {
                format!("suppressed: the remediation {} holds the target", plan.short(10))
            }
            Suppression::Loop => "suppressed: the rule feeds itself".into(),
        },
    }
}
