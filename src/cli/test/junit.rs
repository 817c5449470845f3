//! The outcome of tests as JUnit XML, for whoever runs them unattended.

use crate::model::escape_markup;
use crate::simulation::trial::Outcome;
use std::fmt::Write;

/// One suite with one case per test. Writing to a string goes well.
pub(super) fn report(outcomes: &[Outcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.good()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"{}\" failures=\"{failed}\"", outcomes.len());
    write!(xml, "<testsuites {counts}>\n  <testsuite name=\"medevac\" {counts}>\n")
        .unwrap_or_default();
    for outcome in outcomes {
        let name = clean(&outcome.name);
        if outcome.good() {
            writeln!(xml, "    <testcase classname=\"rules\" name=\"{name}\"/>")
                .unwrap_or_default();
            continue;
        }
        let told = [("!", &outcome.broken), ("-", &outcome.missing), ("+", &outcome.surplus)];
        let lines =
            told.iter().flat_map(|(sign, all)| all.iter().map(move |it| format!("{sign} {it}")));
        let lines: Vec<String> = lines.map(|line| clean(&line)).collect();
        let message = format!(
            "{} expected and missing, {} not expected",
            outcome.missing.len(),
            outcome.surplus.len()
        );
        write!(
            xml,
            "    <testcase classname=\"rules\" name=\"{name}\">\n      <failure message=\"{message}\">{}</failure>\n    </testcase>\n",
            lines.join("\n")
        )
        .unwrap_or_default();
    }
    xml.push_str("  </testsuite>\n</testsuites>");
    xml
}

/// What XML may not hold is left out.
fn clean(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    escape_markup(&text.chars().filter(allowed).collect::<String>())
}
