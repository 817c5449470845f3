//! The rule file that is being written.

use super::{Foreign, Imported};
use std::{collections::BTreeSet, fmt::Write};

/// One rule as it will stand in the file.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) when: Vec<String>,
    pub(super) clause: Option<String>,
    /// Lines of time words and the like: `throttle: {once_within: 5m}`.
    pub(super) lines: Vec<String>,
    /// `drain: {}`
    pub(super) steps: Vec<String>,
    pub(super) escalate: Option<String>,
    pub(super) left_out: Vec<String>,
}

pub(super) struct File {
    head: String,
    rules: Vec<Rule>,
    /// Lines of other sections, each with the section it belongs to.
    sections: Vec<(&'static str, String)>,
    left_out: Vec<(String, String)>,
    names: BTreeSet<String>,
}

/// A text as YAML and CEL write it in double quotes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A name of ours: words joined by dashes.
pub(super) fn named(text: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let all: String = text.chars().map(word).collect();
    let parts: Vec<&str> = all.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "unnamed".into() } else { parts.join("-") }
}

impl File {
    pub(super) fn new(from: Foreign, path: &str) -> File {
        let what = match from {
            Foreign::Eda => "an Event-Driven Ansible rulebook",
            Foreign::Talon => "Falco Talon rules",
            Foreign::Alertmanager => "Alertmanager's routes",
        };
        let path: String = path.chars().filter(|c| !c.is_control()).collect();
        let head = format!(
            "# Imported from {what}, {path}. Every rule only observes: read it, test it, and take `mode` away.\n"
        );
        File { head, rules: vec![], sections: vec![], left_out: vec![], names: BTreeSet::new() }
    }

    /// Not about any one rule.
    pub(super) fn leave_out(&mut self, about: &str, why: impl Into<String>) {
        self.left_out.push((about.to_owned(), why.into()));
    }

    pub(super) fn add(&mut self, section: &'static str, line: String) {
        if !self.sections.iter().any(|known| *known == (section, line.clone())) {
            self.sections.push((section, line));
        }
    }

    /// A policy of that name that calls those contacts.
    pub(super) fn policy(&mut self, name: &str, contacts: &[String]) {
        let contacts = if contacts.is_empty() {
            self.add("contacts", format!("{{name: {name}-people, console: {{}}}}"));
            format!("{name}-people")
        } else {
            format!("[{}]", contacts.join(", "))
        };
        self.add("escalations", format!("{{name: {name}, levels: [{{contacts: {contacts}}}]}}"));
    }

    pub(super) fn rule(&mut self, mut rule: Rule) {
        let base = named(&rule.name);
        let free = (1..).map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") });
        rule.name = free.into_iter().find(|name| !self.names.contains(name)).unwrap_or(base);
        self.names.insert(rule.name.clone());
        if rule.steps.is_empty() && rule.escalate.is_none() {
            rule.escalate = Some("imported".into());
            self.policy("imported", &[]);
        }
        self.rules.push(rule);
    }

    pub(super) fn done(mut self) -> Imported {
        let mut text = self.head;
        for section in ["windows", "contacts", "escalations"] {
            let lines: Vec<&String> = self
                .sections
                .iter()
                .filter(|(of, _)| *of == section)
                .map(|(_, line)| line)
                .collect();
            if lines.is_empty() {
                continue;
            }
            // Writing to a string goes well.
            writeln!(text, "\n{section}:").unwrap_or_default();
            lines.iter().for_each(|line| writeln!(text, "  - {line}").unwrap_or_default());
        }
        if !self.rules.is_empty() {
            text.push_str("\nrules:\n");
        }
        for (at, rule) in self.rules.iter().enumerate() {
            if at > 0 {
                text.push('\n');
            }
            rule.write(&mut text);
            let left = rule.left_out.iter().map(|why| (rule.name.clone(), why.clone()));
            self.left_out.extend(left);
        }
        Imported { text, rules: self.rules.len(), left_out: self.left_out }
    }
}

impl Rule {
    fn write(&self, text: &mut String) {
        let mut line = |line: String| writeln!(text, "{line}").unwrap_or_default();
        for why in &self.left_out {
            let why: Vec<&str> = why.split_whitespace().collect();
            line(format!("  # NOT CARRIED OVER: {}", why.join(" ")));
        }
        line(format!("  - name: {}", self.name));
        match self.when.as_slice() {
            [one] => line(format!("    when: {one}")),
            all => line(format!("    when: [{}]", all.join(", "))),
        }
        if let Some(clause) = &self.clause {
            line(format!("    if: {}", quoted(clause)));
        }
        self.lines.iter().for_each(|it| line(format!("    {it}")));
        line("    mode: observe".into());
        if !self.steps.is_empty() {
            line("    then:".into());
            self.steps.iter().for_each(|step| line(format!("      - {step}")));
        }
        if let Some(policy) = &self.escalate {
            line(format!("    escalate: {policy}"));
        }
    }
}
