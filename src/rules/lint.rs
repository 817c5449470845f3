//! What is wrong with rules although each word of them is right.

use super::diagnostic::{Code, Place};
use super::rule::{Deadline, Rule};
use super::walk::Faults;
use crate::model::{Action, Mode, Schedule, StepSpec, fnv1a, kind};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// AWS gives so long from the notice.
const SPOT_NOTICE: Duration = Duration::from_secs(120);
/// What a plan keeps free before its deadline: a quarter, and no more than this.
const RESERVE: Duration = Duration::from_secs(12);

/// How long the steps take at least: the longest way through what they wait for.
fn minimum(steps: &[StepSpec]) -> Duration {
    let own = |step: &StepSpec| match &step.action {
        Action::Wait { time } => time.0,
        _ => Duration::ZERO,
    };
    let mut ends: BTreeMap<&str, Duration> = BTreeMap::new();
    // Each pass settles at least one more step of what is no circle.
    for _ in steps {
        for step in steps {
            let begins = step.needs.iter().filter_map(|need| ends.get(need.as_str())).max();
            ends.insert(&step.name, begins.copied().unwrap_or_default() + own(step));
        }
    }
    ends.into_values().max().unwrap_or_default()
}

/// From the event to its deadline, where that is known.
fn given(rule: &Rule) -> Option<Duration> {
    let spot = rule.when.iter().any(|it| it == kind::SPOT_INTERRUPTION);
    match &rule.deadline {
        Some(Deadline::After(span)) => Some(span.0),
        Some(Deadline::At(_)) | None => spot.then_some(SPOT_NOTICE),
    }
}

/// A deadline that the steps cannot meet whatever happens.
pub(super) fn too_short(rule: &Rule, place: &Place, faults: &mut Faults) {
    let Some(given) = given(rule) else { return };
    let usable = given - RESERVE.min(given / 4);
    let wanted = minimum(&rule.then);
    if wanted >= usable {
        let span = crate::model::Span;
        let message =
            format!("the steps wait for {} and the deadline leaves {}", span(wanted), span(usable));
        faults.add(Code::TooShort, place, message).hint =
            Some("part of the time is kept for the machine to stop; wait less".into());
    }
}

/// A job of AWS Backup may begin an hour after it was asked for: no rule with a nearer deadline has that time.
pub(super) fn too_slow(rule: &Rule, place: &Place, faults: &mut Faults) {
    let Some(given) = given(rule) else { return };
    let waits = rule.then.iter().find_map(|step| match &step.action {
        Action::AwsBackup(of) if of.start_within.0 > given => Some((&step.name, of.start_within)),
        _ => None,
    });
    if let Some((step, within)) = waits {
        let given = crate::model::Span(given);
        let message =
            format!("`{step}` may begin within {within}, and the deadline leaves {given}");
        faults.add(Code::TooShort, place, message).hint =
            Some("`snapshot` holds what the volume held when it was asked for".into());
    }
}

/// Comparisons per rule. Beyond it rules are alike in all but a text.
const MOST_COMPARED: usize = 500;

/// Rules that find their target taken whenever they match, because another one before them matches as well.
pub(super) fn shadowed(rules: &[Rule], faults: &mut Faults) {
    let mut before: BTreeMap<Option<u64>, Vec<usize>> = BTreeMap::new();
    let sets: Vec<BTreeSet<u64>> = rules.iter().map(parts).collect();
    for (at, (rule, set)) in rules.iter().zip(&sets).enumerate() {
        if rule.mode != Mode::Enforce || !rule.then.iter().any(|step| step.action.writes()) {
            continue;
        }
        let keys = set.iter().copied().map(Some).chain([None]);
        let mut earlier = keys.filter_map(|key| before.get(&key)).flatten().take(MOST_COMPARED);
        let hides = |other: &&usize| {
            let other = *other;
            let (one, parts) = (&rules[*other], &sets[*other]);
            parts.is_subset(set)
                && rule.when.iter().all(|it| one.when.contains(it))
                // A nearer deadline takes the target over; who is refused by a guard leaves it free.
                && rule.deadline.is_none()
                && one.deadline.is_none()
                && (one.guards.is_empty() || one.guards == rule.guards)
        };
        if let Some(other) = earlier.find(hides) {
            let one = &rules[*other].name;
            let message = format!(
                "whenever `{}` matches, `{one}` matches before it and holds the target",
                rule.name
            );
            let fault = faults.add(Code::Shadowed, &rule.place, message);
            fault.warning = true;
            fault.hint = Some(format!("let `{one}` leave out what is meant for this one"));
        }
        let plain = !rule.words.windowed()
            && rule.words.during.is_empty()
            && rule.words.except.is_empty()
            && rule.throttle.is_none();
        if plain {
            before.entry(set.first().copied()).or_default().push(at);
        }
    }
}

/// Runs that no rule hears of, and rules that wait for runs where nothing is scheduled.
pub(super) fn unscheduled(rules: &[Rule], schedules: &[Schedule], faults: &mut Faults) {
    let hears = |rule: &&Rule| rule.when.iter().any(|it| it == kind::SCHEDULE_DUE);
    for rule in rules.iter().filter(hears).filter(|_| schedules.is_empty()) {
        let message = format!("`{}` waits for a schedule, and there is none", rule.name);
        let fault = faults.add(Code::Unscheduled, &rule.place, message);
        fault.warning = true;
        fault.hint = Some("write it under `schedules`".into());
    }
}

/// Of each clause of a rule a number: the same for the same clause.
fn parts(rule: &Rule) -> BTreeSet<u64> {
    let conjuncts = rule.condition.iter().flat_map(|condition| condition.conjuncts());
    conjuncts.map(|part| fnv1a(format!("{part:?}").bytes())).collect()
}
