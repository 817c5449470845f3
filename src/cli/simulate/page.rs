//! One self-contained page: no script, no font, nothing that is fetched.

use super::{Case, drawing};
use crate::model::escape_markup;
use crate::simulation::Report;

const STYLE: &str = include_str!("page.css");

pub(super) fn render(reports: &[(&Case, Report)]) -> String {
    let bodies: String = reports.iter().map(|(case, report)| section(case, report)).collect();
    let title = match reports {
        [(_, report)] => escape_markup(&report.scenario),
        _ => format!("{} scenarios", reports.len()),
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body>{bodies}</body></html>"
    )
}

fn section(case: &Case, report: &Report) -> String {
    let (word, class) = if report.good() { ("good", "good") } else { ("failed", "bad") };
    let verdicts: String = report
        .verdicts
        .iter()
        .map(|verdict| {
            let class = if verdict.held { "good" } else { "bad" };
            format!(
                "<li class=\"{class}\">{} <small>{}</small></li>",
                escape_markup(&verdict.text),
                escape_markup(&verdict.reason)
            )
        })
        .collect();
    let broken: String = report
        .violations
        .iter()
        .map(|one| {
            format!("<li class=\"bad\">{}: {}</li>", one.invariant, escape_markup(&one.text))
        })
        .collect();
    let lines: String = report
        .lines
        .iter()
        .map(|line| {
            format!(
                "<tr class=\"{}\"><td>{}</td><td>{}</td><td>{}</td></tr>",
                line.who.replace(' ', "-"),
                line.clock(),
                line.who,
                escape_markup(&line.text)
            )
        })
        .collect();
    format!(
        "<section><h1>{} <span class=\"{class}\">{word}</span></h1><p>{}</p>\
         <p><small>seed {}, {} calls to the outside, {} mishaps</small></p>\
         <ul>{verdicts}{broken}</ul>\
         <p class=\"legend\"><span class=\"cordoned\">cordoned</span><span class=\"gone\">taken away</span>\
         <span class=\"notice\">notice</span><span class=\"joined\">joins</span><span class=\"evicted\">pod evicted</span><span class=\"killed\">pod killed</span>\
         <span class=\"incident\">incident</span><span class=\"open\">not over</span><span class=\"plan\">remediation</span>\
         <span class=\"failed\">failed</span><span class=\"ring\">somebody is called</span></p>{}\
         <details><summary>Everything, line by line</summary><table>{lines}</table></details></section>",
        escape_markup(&report.scenario),
        escape_markup(case.scenario.about.trim()),
        report.seed,
        report.calls,
        report.mishaps.len(),
        drawing::render(report)
    )
}
