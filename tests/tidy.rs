//! The law of the house, as a test: imports, who may wait, sizes, headers, biased selects.

#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::{fs, io, path::Path};

/// Each room, and the rooms it may name.
const LAW: &[(&str, &[&str])] = &[
    ("calendar", &[]),
    ("model", &["calendar"]),
    ("clock", &[]),
    ("planted", &[]),
    ("agent", &["model"]),
    ("log", &["model"]),
    ("rules", &["model", "calendar"]),
    ("cluster", &["model"]),
    ("config", &["model", "rules"]),
    ("telemetry", &["model"]),
    ("engine", &["model", "rules"]),
    ("plan", &["model"]),
    ("diagnosis", &["model"]),
    ("remediation", &["model", "diagnosis"]),
    ("escalation", &["model", "calendar"]),
    ("replay", &["model", "log", "rules", "engine", "escalation"]),
    ("sources", &["model", "log", "clock", "calendar", "cluster", "config"]),
    (
        "simulation",
        &[
            "model",
            "log",
            "clock",
            "cluster",
            "rules",
            "engine",
            "plan",
            "remediation",
            "escalation",
            "sources",
            "config",
            "telemetry",
            "daemon",
        ],
    ),
    (
        "api",
        &[
            "model",
            "log",
            "clock",
            "calendar",
            "cluster",
            "config",
            "sources",
            "telemetry",
            "engine",
            "plan",
            "remediation",
            "rules",
            "replay",
        ],
    ),
    (
        "daemon",
        &[
            "model",
            "log",
            "clock",
            "cluster",
            "rules",
            "engine",
            "plan",
            "remediation",
            "escalation",
            "sources",
            "telemetry",
        ],
    ),
    (
        "adapters",
        &[
            "model",
            "log",
            "clock",
            "cluster",
            "agent",
            "sources",
            "remediation",
            "escalation",
            "daemon",
            "rules",
            "config",
        ],
    ),
];

/// What a room's shell may name besides its room's own list.
const SHELL: &[&str] = &["log", "clock", "cluster", "rules"];

/// Crates that a pure file may not name.
const OUTSIDE: &[&str] =
    &["tokio", "kube", "reqwest", "axum", "hyper", "rusqlite", "notify", "aws_sdk"];

/// Rooms whose files are pure, but for `run.rs`.
const PURE: &[&str] = &[
    "model",
    "calendar",
    "rules",
    "engine",
    "plan",
    "diagnosis",
    "remediation",
    "escalation",
    "replay",
    "agent",
];

/// Files in which asynchronous code stands although they are no shell: ports, declared and not used.
const PORTS: &[&str] = &[
    "clock.rs",
    "cluster.rs",
    "log.rs",
    "log/kv.rs",
    "log/moving.rs",
    "log/fold.rs",
    "log/insist.rs",
];

/// Lines without tests that a file should stay under; those above are named with the reason.
const SOFT: usize = 300;
const HARD: usize = 500;
const FUNCTION: usize = 60;

struct File {
    name: String,
    /// Without the tests at its end.
    code: String,
    text: String,
}

fn sources() -> Vec<File> {
    let mut files = vec![];
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path| {
        let text = fs::read_to_string(path)?;
        let name = path.display().to_string();
        let name = name.rsplit_once("/src/").map_or(name.clone(), |(_, rest)| rest.to_owned());
        if path.extension().is_some_and(|extension| extension == "rs")
            && !name.ends_with("tests.rs")
        {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            files.push(File { name, code, text });
        }
        Ok(())
    })
    .expect("the sources can be read");
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

fn visit(dir: &Path, check: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { visit(&path, check)? } else { check(&path)? }
    }
    Ok(())
}

fn room(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or_default()
}

fn code_lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).enumerate()
}

fn fail(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn rooms_import_only_what_the_law_allows() {
    let mut faults = vec![];
    for File { name, code, .. } in &sources() {
        let Some((_, allowed)) = LAW.iter().find(|(room_, _)| *room_ == room(name)) else {
            let free = ["main", "lib", "cli"].contains(&room(name));
            if !free {
                faults.push(format!("{name}: this room is not in the law"));
            }
            continue;
        };
        let shell = name.ends_with("/run.rs");
        for (line, code) in code_lines(code) {
            for path in code.split("crate::").skip(1) {
                let grouped = path.strip_prefix('{').map(|rest| rest.split(',').collect());
                for to in grouped.unwrap_or_else(|| vec![path]) {
                    let to = to
                        .trim()
                        .split(|c: char| !c.is_alphanumeric() && c != '_')
                        .next()
                        .unwrap_or_default();
                    let may = to == room(name)
                        || to == "planted"
                        || allowed.contains(&to)
                        || (shell && SHELL.contains(&to));
                    if !may && !to.is_empty() {
                        faults.push(format!(
                            "{name}:{}: {} may not import {to}",
                            line + 1,
                            room(name)
                        ));
                    }
                }
            }
        }
    }
    fail(&faults);
}

#[test]
fn decisions_do_not_wait_and_do_not_know_the_outside() {
    let mut faults = vec![];
    for File { name, code, .. } in &sources() {
        let pure = PURE.contains(&room(name)) && !name.ends_with("/run.rs");
        let port = PORTS.contains(&name.as_str());
        for (line, code) in code_lines(code).filter(|_| pure && !port) {
            if code.contains("async ") || code.contains(".await") {
                faults.push(format!("{name}:{}: only the shell may wait", line + 1));
            }
            for outside in OUTSIDE.iter().filter(|outside| code.contains(&format!("{outside}::"))) {
                faults.push(format!("{name}:{}: a pure file names {outside}", line + 1));
            }
        }
    }
    fail(&faults);
}

#[test]
fn shells_know_no_adapter_and_no_vendor() {
    let mut faults = vec![];
    for File { name, code, .. } in sources().iter().filter(|file| file.name.ends_with("/run.rs")) {
        for vendor in ["kube::", "reqwest::", "aws_sdk", "rusqlite::", "crate::adapters"] {
            if code.contains(vendor) && room(name) != "cli" {
                faults.push(format!("{name}: a shell names {vendor}"));
            }
        }
    }
    fail(&faults);
}

#[test]
fn files_and_functions_stay_small() {
    let mut faults = vec![];
    let mut lengths = vec![];
    for File { name, code, .. } in &sources() {
        let lines = code.lines().count();
        lengths.push(lines);
        let limit = if LONG.iter().any(|(long, _)| long == name) { HARD } else { SOFT };
        if lines > limit {
            faults.push(format!("{name}: {lines} lines, {limit} allowed"));
        }
        faults.extend(long_functions(code).map(|(line, length)| {
            format!("{name}:{line}: a function of {length} lines, {FUNCTION} allowed")
        }));
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    if median > 150 {
        faults.push(format!("the median file has {median} lines; about 130 is the aim"));
    }
    fail(&faults);
}

/// Files over the soft limit, each with its reason.
const LONG: &[(&str, &str)] = &[
    ("rules/condition/check.rs", "one arm per construct of the language"),
    ("rules/condition/eval.rs", "one arm per construct of the language"),
    ("rules/shape.rs", "the table of all keys, which belongs together"),
    ("simulation/scenario/shape.rs", "the table of all keys, which belongs together"),
    ("remediation/steps.rs", "the machines are small and share one vocabulary"),
    ("remediation/saga.rs", "one decision procedure"),
    ("remediation/drain.rs", "one decision procedure"),
    ("remediation/run.rs", "one shell"),
    ("escalation/ladder.rs", "one decision procedure"),
    ("simulation/world.rs", "one world"),
    ("adapters/embedded/writer.rs", "one thread's work"),
    ("api/routes.rs", "one page of paths"),
    ("engine/state.rs", "one fold"),
];

/// Line and length of each function that is too long, by its indentation as the formatter leaves it.
fn long_functions(code: &str) -> impl Iterator<Item = (usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut long = vec![];
    for (at, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let starts = [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(super) fn ",
            "pub(super) async fn ",
        ];
        if !starts.iter().any(|start| body.starts_with(start)) {
            continue;
        }
        // A declaration without a body has no length.
        let ends = lines[at..].iter().find(|line| line.ends_with('{') || line.ends_with(';'));
        if ends.is_some_and(|line| line.ends_with(';')) {
            continue;
        }
        let indent = line.len() - body.len();
        let close = format!("{}}}", " ".repeat(indent));
        let end = lines[at..].iter().position(|line| *line == close);
        if let Some(length) = end.map(|length| length + 1).filter(|length| *length > FUNCTION) {
            long.push((at + 1, length));
        }
    }
    long.into_iter()
}

#[test]
fn every_file_says_what_it_is_for_and_every_select_is_biased() {
    let mut faults = vec![];
    for File { name, text, code } in &sources() {
        if !text.starts_with("//!") {
            faults.push(format!("{name}: it does not begin with `//!`"));
        }
        if name.ends_with("mod.rs") {
            faults.push(format!("{name}: a room is `x.rs` and `x/`"));
        }
        for (at, after) in code.match_indices("select! {") {
            if !code[at + after.len()..].trim_start().starts_with("biased;") {
                let line = code[..at].lines().count();
                faults
                    .push(format!("{name}:{line}: a select that is not biased has no one history"));
            }
        }
    }
    fail(&faults);
}

#[test]
fn few_tests_need_a_runtime() {
    let (mut plain, mut waiting) = (0, 0);
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path| {
        let text = fs::read_to_string(path)?;
        plain += text.matches("#[test]").count();
        waiting += text.matches("#[tokio::test").count();
        Ok(())
    })
    .expect("the sources can be read");
    assert!(waiting * 10 < plain, "{waiting} of {plain} tests beside the code need a runtime");
}
