//! A run as text: the timeline, then every expectation with its reason, then what was broken.

use super::super::words;
use super::{Args, Case};
use crate::simulation::{Line, Report};
use anstyle::{AnsiColor, Style};

pub(super) fn print(args: &Args, reports: &[(&Case, Report)]) {
    let one = reports.len() == 1;
    for (case, report) in reports {
        if one && !args.quiet {
            title(case, report);
            report.lines.iter().for_each(line);
            words::say("");
        }
        verdicts(report, one || !report.good());
    }
    if !one {
        let good = reports.iter().filter(|(_, report)| report.good()).count();
        words::say(&format!("\n{good} of {} scenarios are good.", reports.len()));
    }
}

fn title(case: &Case, report: &Report) {
    let name = words::paint(
        &words::plain(&report.scenario),
        AnsiColor::Cyan.on_default().bold(),
        words::colour(),
    );
    words::say(&format!("{name}  {}\n", words::plain(case.scenario.about.trim())));
}

/// The colour of who says it.
fn style(who: &str) -> Style {
    match who {
        "cloud" | "cluster" => AnsiColor::Blue.on_default(),
        "accepted" => AnsiColor::Yellow.on_default(),
        "decided" | "incident" | "planned" => AnsiColor::Magenta.on_default(),
        "acted" | "called" => AnsiColor::Green.on_default(),
        "page" | "rings" | "fault" | "refused" | "set aside" => AnsiColor::Red.on_default(),
        _ => Style::new().bold(),
    }
}

fn line(line: &Line) {
    let colour = words::colour();
    let clock = words::paint(&line.clock(), AnsiColor::BrightBlack.on_default(), colour);
    let who = words::paint(&format!("{:<9}", line.who), style(line.who), colour);
    words::say(&format!("{clock}  {who} {}", words::plain(&line.text)));
}

fn verdicts(report: &Report, all: bool) {
    let colour = words::colour();
    let mark = |good: bool| match good {
        true => words::paint("good", AnsiColor::Green.on_default(), colour),
        false => words::paint("FAIL", AnsiColor::Red.on_default().bold(), colour),
    };
    let hours = report.lasted.as_secs_f64() / 3600.0;
    words::say(&format!(
        "{}  {}  {hours:.1} h, seed {}, {} calls to the outside, {} mishaps",
        mark(report.good()),
        report.scenario,
        report.seed,
        report.calls,
        report.mishaps.len()
    ));
    for verdict in report.verdicts.iter().filter(|verdict| all || !verdict.held) {
        let (line, column) = verdict.place.line_column();
        let place = match verdict.held {
            true => String::new(),
            false => format!("  {}:{line}:{column}", verdict.place.source.path),
        };
        words::say(&format!(
            "  {}  {}  ({}){place}",
            mark(verdict.held),
            words::plain(&verdict.text),
            verdict.reason
        ));
    }
    for broken in &report.violations {
        let at = broken.at.duration_since(report.begins);
        let clock = Line {
            at: i64::try_from(at.as_millis()).unwrap_or_default(),
            who: "",
            text: String::new(),
            node: None,
            incident: None,
            mark: None,
        };
        words::say(&format!(
            "  {}  {} at {}: {}",
            mark(false),
            broken.invariant,
            clock.clock(),
            words::plain(&broken.text)
        ));
    }
}
