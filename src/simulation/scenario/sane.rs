//! What is wrong with a scenario although each word of it is right.

use super::{Scenario, When};
use crate::rules::Code;
use crate::rules::reading::Faults;
use std::time::Duration;

/// Names that stand twice, or for nothing.
pub(super) fn names(scenario: &Scenario, place: &crate::rules::Place, faults: &mut Faults) {
    let pools = scenario.pools.iter().map(|pool| ("pool", pool.name.clone()));
    let apps = scenario.apps.iter().map(|app| ("app", format!("{}/{}", app.namespace, app.name)));
    let mut seen = std::collections::BTreeSet::new();
    for (what, name) in pools.chain(apps) {
        if !seen.insert((what, name.clone())) {
            faults.add(Code::Duplicate, place, format!("another {what} is called `{name}`"));
        }
    }
    if let Some((space, name)) = &scenario.daemon.app
        && !seen.contains(&("app", format!("{space}/{name}")))
    {
        let message = format!("the daemon is to run as `{space}/{name}`, and there is no such app");
        faults.add(Code::UnknownName, place, message);
    }
    for step in &scenario.happens {
        if let Some(replica) = step.deed.replica().filter(|one| *one >= scenario.daemon.replicas) {
            let message = format!(
                "there is no daemon {replica}: they are counted from 0, and there are {}",
                scenario.daemon.replicas
            );
            faults.add(Code::UnknownName, place, message);
        }
    }
    let span = scenario.lasts + Duration::from_secs(86_400);
    if scenario.begins.checked_add(span).is_err() {
        faults.add(Code::BadValue, place, "it would end after the end of the calendar");
    }
}

/// What a machine with some gigabytes can hold; what goes beyond is a slip of the keyboard.
const MOST_NODES: u64 = 100_000;
const MOST_PODS: u64 = 2_000_000;
const MOST_STEPS: u64 = 1_000_000;
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What is said of the scenario as a whole: moments after its end, names that nothing has, names twice.
pub(super) fn consistent(scenario: &Scenario, faults: &mut Faults) {
    let end = crate::model::Span(scenario.lasts);
    for one in scenario.expect.iter().chain(&scenario.never) {
        if let When::At(at) | When::By(at) = one.when
            && at > scenario.lasts
        {
            let message = format!("the run is over after {end}: nobody looks at that moment");
            faults.add(Code::BadValue, &one.place, message).hint =
                Some("`lasts` is how long it is".into());
        }
        let known = |name: &String| {
            scenario.apps.iter().any(|app| format!("{}/{}", app.namespace, app.name) == *name)
        };
        if let Some(name) = one.filter.app.as_ref().filter(|name| !known(name)) {
            faults.add(Code::UnknownName, &one.place, format!("there is no app `{name}`"));
        }
        let known = |name: &String| scenario.pools.iter().any(|pool| pool.name == *name);
        if let Some(name) = one.filter.pool.as_ref().filter(|name| !known(name)) {
            faults.add(Code::UnknownName, &one.place, format!("there is no pool `{name}`"));
        }
    }
}

/// Whether all of it together is of a size that can be played.
pub(super) fn bounded(scenario: &Scenario, place: &crate::rules::Place, faults: &mut Faults) {
    let nodes: u64 = scenario.pools.iter().map(|pool| u64::from(pool.nodes)).sum();
    let pods: u64 = scenario.apps.iter().map(|app| u64::from(app.replicas)).sum();
    let steps: u64 = scenario.happens.iter().map(super::Step::size).sum();
    let sums = [
        (nodes, MOST_NODES, "nodes"),
        (pods, MOST_PODS, "pods"),
        (steps, MOST_STEPS, "things that happen"),
        (scenario.lasts.as_secs(), LONGEST.as_secs(), "seconds"),
    ];
    for (sum, most, what) in sums.into_iter().filter(|(sum, most, _)| sum > most) {
        let message = format!("{sum} {what} are more than can be played; {most} at most");
        faults.add(Code::TooLarge, place, message);
    }
}
