//! The timeline as an SVG: a row for each node and each incident, with what happened on it.

use crate::model::escape_markup;
use crate::simulation::{Line, Report, world::Mark};
use std::{collections::BTreeMap, fmt::Write};

const LEFT: f64 = 190.0;
const WIDTH: f64 = 1000.0;
const ROW: f64 = 20.0;
/// More rows are not read by anybody: those with most on them are kept.
const MOST: usize = 120;

/// A span on a row, or a point where it has no length.
struct Bar {
    from: i64,
    until: i64,
    class: &'static str,
    text: String,
}

#[derive(Default)]
struct Row {
    bars: Vec<Bar>,
}

type Rows = BTreeMap<String, Row>;

/// Both drawings: nodes, then incidents.
pub(super) fn render(report: &Report) -> String {
    let end = i64::try_from(report.lasted.as_millis()).unwrap_or(1).max(1);
    let shown = |rows: Rows, title: &str| {
        let mut rows: Vec<(String, Row)> = rows.into_iter().collect();
        let all = rows.len();
        if all > MOST {
            rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.bars.len()));
            rows.truncate(MOST);
        }
        rows.sort_by_cached_key(|(name, _)| natural(name));
        let more =
            if all > MOST { format!(" (the busiest {MOST} of {all})") } else { String::new() };
        format!("<h2>{title}{more}</h2>{}", svg(&rows, end))
    };
    let (nodes, incidents) = (nodes(report, end), incidents(report, end));
    format!("{}{}", shown(nodes, "Nodes"), shown(incidents, "Incidents"))
}

/// As people sort names: `spot-2` before `spot-10`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = vec![];
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[text..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - text);
        let number = rest[text..text + digits].parse().unwrap_or(0);
        parts.push((rest[..text].to_owned(), number));
        rest = &rest[text + digits..];
    }
    parts
}

fn nodes(report: &Report, end: i64) -> Rows {
    let mut rows = Rows::new();
    let mut cordoned: BTreeMap<&str, i64> = BTreeMap::new();
    let marked = |line: &'_ Line| Some((line.node.clone()?, line.mark?));
    for line in &report.lines {
        let Some((node, mark)) = marked(line) else { continue };
        let row = rows.entry(node.clone()).or_default();
        let mut point = |class| {
            row.bars.push(Bar { from: line.at, until: line.at, class, text: line.text.clone() });
        };
        match mark {
            Mark::Notice => point("notice"),
            Mark::Evicted => point("evicted"),
            Mark::Killed => point("killed"),
            Mark::Joined => point("joined"),
            Mark::Note => point("note"),
            Mark::Running => {}
            Mark::Cordoned => {
                if let Some(name) = line.node.as_deref() {
                    cordoned.entry(name).or_insert(line.at);
                }
            }
            Mark::Uncordoned | Mark::Gone => {
                if let Some(from) = cordoned.remove(node.as_str()) {
                    let text = "cordoned".into();
                    row.bars.insert(0, Bar { from, until: line.at, class: "cordoned", text });
                }
                if mark == Mark::Gone {
                    let text = line.text.clone();
                    row.bars.push(Bar { from: line.at, until: end, class: "gone", text });
                }
            }
        }
    }
    for (node, from) in cordoned {
        let bar = Bar { from, until: end, class: "cordoned", text: "cordoned".into() };
        rows.entry(node.to_owned()).or_default().bars.insert(0, bar);
    }
    rows
}

fn incidents(report: &Report, end: i64) -> Rows {
    let mut rows = Rows::new();
    let since = |at: jiff::Timestamp| {
        i64::try_from(at.duration_since(report.begins).as_millis()).unwrap_or_default()
    };
    let name = |id: &str| {
        let target = report.ledger.incidents.get(id).map(|known| known.target.to_string());
        format!("{} {id}", target.unwrap_or_default())
    };
    for (id, incident) in &report.ledger.incidents {
        let until = incident.resolved.map_or(end, since);
        let class = if incident.resolved.is_some() { "incident" } else { "open" };
        let bar = Bar { from: since(incident.opened), until, class, text: incident.title.clone() };
        rows.entry(name(id)).or_default().bars.push(bar);
    }
    for fact in report.ledger.plans.values().filter(|fact| fact.began) {
        let (until, word) = match &fact.ended {
            Some((at, how)) => (since(*at), how.word()),
            None => (end, "open"),
        };
        let class = if word == "failed" || word == "stuck" { "failed" } else { "plan" };
        let text = format!("{}: {word}", fact.plan.rule);
        let bar = Bar { from: since(fact.made), until, class, text };
        rows.entry(name(&fact.plan.incident)).or_default().bars.push(bar);
    }
    for ring in &report.ledger.rings {
        let at = since(ring.at);
        let text = format!("{} level {}", ring.key.contact, ring.key.level);
        let row = rows.entry(name(&ring.key.incident)).or_default();
        row.bars.push(Bar { from: at, until: at, class: "ring", text });
    }
    rows
}

fn svg(rows: &[(String, Row)], end: i64) -> String {
    let height = ROW * (rows.len() as f64 + 1.5);
    let x = |at: i64| LEFT + WIDTH * (at.clamp(0, end) as f64) / end as f64;
    let mut out = format!("<svg viewBox=\"0 0 {} {height}\" role=\"img\">", LEFT + WIDTH + 50.0);
    for tick in 0..=10 {
        let at = end * tick / 10;
        let line =
            Line { at, who: "", text: String::new(), node: None, incident: None, mark: None };
        let clock = line.clock();
        let clock = clock.split('.').next().unwrap_or_default().to_owned();
        add(
            &mut out,
            format_args!(
                "<line class=\"tick\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{ROW}\" y2=\"{height}\"/><text class=\"clock\" x=\"{0:.1}\" y=\"14\">{clock}</text>",
                x(at)
            ),
        );
    }
    for (number, (name, row)) in rows.iter().enumerate() {
        let y = ROW * (number as f64 + 1.2);
        let name = escape_markup(name);
        add(
            &mut out,
            format_args!(
                "<g><text class=\"name\" x=\"4\" y=\"{:.1}\">{name}</text><line class=\"row\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{2:.1}\" y2=\"{2:.1}\"/>",
                y + 12.0,
                LEFT + WIDTH,
                y + ROW - 2.0
            ),
        );
        for bar in &row.bars {
            let (from, until) = (x(bar.from), x(bar.until));
            let text = escape_markup(&bar.text);
            let class = bar.class;
            match bar.from == bar.until {
                true => add(
                    &mut out,
                    format_args!(
                        "<circle class=\"{class}\" cx=\"{from:.1}\" cy=\"{:.1}\" r=\"4\"><title>{text}</title></circle>",
                        // A notice comes with what follows from it: it stands above.
                        if class == "notice" { y + 2.0 } else { y + 8.0 }
                    ),
                ),
                false => add(
                    &mut out,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" rx=\"2\"><title>{text}</title></rect>",
                        y + 2.0,
                        (until - from).max(2.0)
                    ),
                ),
            }
        }
        out.push_str("</g>");
    }
    out.push_str("</svg>");
    out
}

/// Writing to a string goes well.
fn add(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).unwrap_or_default();
}
