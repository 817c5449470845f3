//! Schedules: what recurs, by name.

use super::diagnostic::Code;
use super::file::named;
use super::hours::zone;
use super::rule::word;
use super::shape;
use super::walk::{Entries, Faults, text};
use super::yaml::Node;
use crate::calendar::{Back, Clocks, Forward, Recurrence};
use crate::model::{Id, Missed, Schedule, Target};
use jiff::tz::TimeZone;

pub(super) fn schedules(nodes: &[&Node], faults: &mut Faults) -> Vec<Schedule> {
    named(nodes, "schedule", faults);
    nodes.iter().filter_map(|node| schedule(node, faults)).collect()
}

/// What recurs, or what is wrong with it.
pub(super) fn recurrence(
    node: &Node,
    zone: TimeZone,
    clocks: impl Fn(Clocks) -> Clocks,
    faults: &mut Faults,
) -> Option<Recurrence> {
    Recurrence::parse(text(node, faults)?, zone, clocks)
        .map_err(|error| {
            let never = error.message.ends_with("never fires");
            let code = if never { Code::NeverFires } else { Code::BadValue };
            faults.add(code, &node.place, error.message).hint = Some(error.hint);
        })
        .ok()
}

fn schedule(node: &Node, faults: &mut Faults) -> Option<Schedule> {
    let entries = Entries::of(node, &shape::SCHEDULE, faults)?;
    let name = entries.text("name", faults);
    let zone = entries.get("zone").map_or(Some(TimeZone::UTC), |node| zone(node, faults));
    let forward = [("skip", Forward::Skip), ("run_after", Forward::RunAfter)];
    let forward = word(&entries, "clock_forward", &forward, faults);
    let back =
        word(&entries, "clock_back", &[("once", Back::Once), ("twice", Back::Twice)], faults);
    let skips = word(&entries, "missed", &[("once", false), ("skip", true)], faults);
    let within = entries.span("missed_within", faults);
    let missed = if skips == Some(true) { Missed::Skip } else { Missed::Once { within } };
    let subject = entries.text("subject", faults).and_then(|written| {
        let place = entries.get("subject").map_or(entries.place(), |node| &node.place);
        let read = written.parse::<Target>();
        read.map_err(|error| faults.add(Code::BadValue, place, error.to_string())).ok()
    });
    if let (Missed::Skip, Some(node)) = (missed, entries.get("missed_within")) {
        let message = "`missed: skip` makes up for nothing, and `missed_within` says until when";
        faults.add(Code::Conflict, &node.place, message);
    }
    let written = entries.get("schedule")?;
    let own = |own: Clocks| Clocks {
        forward: forward.unwrap_or(own.forward),
        back: back.unwrap_or(own.back),
    };
    let recurrence = recurrence(written, zone?, own, faults)?;
    if let Some(meant) = recurrence.meets_a_change()
        && (forward.is_none() || back.is_none())
    {
        let clocks = recurrence.clocks().map(Clocks::describe).unwrap_or_default();
        let message = format!("the clocks change at that time on {}", meant.date());
        let fault = faults.add(Code::Clocks, &written.place, message);
        fault.warning = true;
        fault.hint = Some(format!(
            "as it stands it {clocks}; say so with `clock_forward` and `clock_back`, or take another hour"
        ));
    }
    let (name, text) = (name?, text(written, faults)?.trim().to_owned());
    let keys = ["schedule", "zone", "clock_forward", "clock_back", "subject"];
    let written = entries.written(&keys);
    let parts: Vec<&str> = written.iter().map(String::as_str).collect();
    let own = Target::Other { kind: "schedule".into(), name: name.clone() };
    let (version, target) = (Id::of(&parts), subject.unwrap_or(own));
    Some(Schedule { name, recurrence, text, missed, target, version })
}
