//! Duties as rule files write them.

use super::diagnostic::{Code, Place};
use super::hours::{list, time, zone};
use super::names::Names;
use super::shape;
use super::walk::{Entries, Faults};
use super::yaml::Node;
use crate::calendar::{Layer, Override, Rota, Shift, Span};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};
use std::sync::Arc;

const DAY: u64 = 86_400;

pub(super) fn rota(node: &Node, names: &Names<'_>, faults: &mut Faults) -> Option<Rota> {
    let entries = Entries::of(node, &shape::ROTA, faults)?;
    let zone = entries.get("zone").map_or(Some(TimeZone::UTC), |node| zone(node, faults));
    let written = entries.list("layers", faults);
    let own = entries.get("people").is_some();
    if own != written.is_empty() {
        let message = "a duty has either `people` or `layers`";
        faults.add(Code::Conflict, entries.place(), message);
        return None;
    }
    let layers: Vec<Layer> = if own {
        layer(&entries, names, faults).into_iter().collect()
    } else {
        let all = written.iter().filter_map(|node| {
            let entries = Entries::of(node, &shape::LAYER, faults)?;
            layer(&entries, names, faults)
        });
        all.collect()
    };
    let zone = zone?;
    let overrides: Vec<Override> = entries
        .list("overrides", faults)
        .iter()
        .filter_map(|node| instead(node, &zone, names, faults))
        .collect();
    let rota = Rota { name: entries.text("name", faults)?, zone, layers, overrides };
    let whole = rota.layers.len() == written.len().max(1);
    if let Some(gap) = rota.gap().filter(|_| whole) {
        let (from, until) = (local(gap.from, &rota.zone), local(gap.until, &rota.zone));
        let message = format!("from {from} until {until} nobody has the duty `{}`", rota.name);
        faults.add(Code::Gap, entries.place(), message).hint =
            Some("add a layer without `during` at the end, for whatever the others leave".into());
    }
    Some(rota)
}

fn local(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
}

fn contact(name: &str, place: &Place, names: &Names<'_>, faults: &mut Faults) {
    names.check("contact", name, &names.contacts, place, faults);
}

fn layer(entries: &Entries<'_>, names: &Names<'_>, faults: &mut Faults) -> Option<Layer> {
    let people = entries.texts("people", faults);
    for (who, place) in &people {
        contact(who, place, names, faults);
    }
    if people.is_empty() {
        faults.add(Code::MissingKey, entries.place(), "nobody takes turns: `people` is empty");
        return None;
    }
    let shift = entries.get("shift").map_or(Some(Shift::Days(7)), |_| shift(entries, faults));
    let Some(node) = entries.get("starts") else {
        faults.add(Code::MissingKey, entries.place(), "a duty needs `starts`: its first day");
        return None;
    };
    let starts = entries.text("starts", faults).and_then(|written| {
        let read = written.parse::<Date>();
        let bad = |_| {
            let message = format!("`{written}` is not a day");
            faults.add(Code::BadValue, &node.place, message).hint = Some("write 2026-01-05".into());
        };
        read.map_err(bad).ok()
    });
    let nine = Time::constant(9, 0, 0, 0);
    let hand_off = entries.get("hand_off").map_or(Some(nine), |node| time(node, faults));
    let during = list(entries, "during", names, faults);
    let during = during.into_iter().map(Arc::unwrap_or_clone).collect();
    let people = people.into_iter().map(|(who, _)| who).collect();
    Some(Layer { people, shift: shift?, starts: starts?, hand_off: hand_off?, during })
}

fn shift(entries: &Entries<'_>, faults: &mut Faults) -> Option<Shift> {
    let node = entries.get("shift")?;
    let written = entries.text("shift", faults)?;
    let span = match written.as_str() {
        "daily" => Ok(Span::seconds(DAY)),
        "weekly" => Ok(Span::seconds(7 * DAY)),
        other => other.parse::<Span>(),
    };
    let seconds = span.map_or(0, |span| span.0.as_secs());
    let whole = |unit: u64| {
        let count = u32::try_from(seconds / unit).ok();
        count.filter(|count| *count > 0 && seconds % unit == 0)
    };
    let shift = whole(DAY).map(Shift::Days).or_else(|| whole(3600).map(Shift::Hours));
    if shift.is_none() {
        faults.add(Code::BadValue, &node.place, format!("`{written}` is not a turn")).hint =
            Some("write daily, weekly, or whole days or hours as 3d or 8h".into());
    }
    shift
}

fn instead(
    node: &Node,
    zone: &TimeZone,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Override> {
    let entries = Entries::of(node, &shape::OVERRIDE, faults)?;
    let who = entries.text("who", faults)?;
    contact(&who, entries.get("who").map_or(entries.place(), |node| &node.place), names, faults);
    let mut moment = |key: &str| -> Option<Timestamp> {
        let node = entries.get(key)?;
        let written = entries.text(key, faults)?;
        let wall = written.parse::<DateTime>().ok();
        let at = wall.and_then(|wall| zone.to_ambiguous_timestamp(wall).compatible().ok());
        if at.is_none() {
            let message = format!("`{written}` is not a time");
            faults.add(Code::BadValue, &node.place, message).hint =
                Some("write 2026-12-24T18:00, by the clock of the duty's zone".into());
        }
        at
    };
    let (from, until) = (moment("from"), moment("until"));
    let (from, until) = (from?, until?);
    if from >= until {
        faults.add(Code::BadValue, entries.place(), "it ends before it begins");
        return None;
    }
    Some(Override { who, from, until })
}
