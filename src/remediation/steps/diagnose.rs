//! A look at what is wrong: it changes nothing and fails nobody's plan. What it finds is in the journal before it ends.

use super::super::saga::Work;
use super::Status;
use crate::diagnosis::Diagnosis;
use crate::model::{Answer, Entry, Finding, Health, Target, Topic};
use jiff::Timestamp;
use std::time::Duration;

/// Nobody waits for longer: what has been found by then is told.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(in crate::remediation) struct Diagnose {
    topic: Topic,
    diagnosis: Diagnosis,
    until: Timestamp,
    found: Option<Vec<Finding>>,
}

impl Diagnose {
    pub(super) fn new(topic: Topic, subject: Target, now: Timestamp) -> Diagnose {
        let until = now.checked_add(PATIENCE).unwrap_or(now);
        Diagnose { topic, diagnosis: Diagnosis::new(topic, subject), until, found: None }
    }

    pub(super) fn poll(&mut self) -> Vec<(String, Work)> {
        if self.found.is_some() {
            return vec![];
        }
        let asked = self.diagnosis.questions().into_iter();
        asked.map(|(tag, question)| (tag, Work::Ask(question))).collect()
    }

    pub(super) fn answer(&mut self, tag: &str, answer: Answer) {
        self.diagnosis.answer(tag, answer);
    }

    pub(super) fn news(&mut self, step: &str, now: Timestamp) -> Vec<Entry> {
        if self.found.is_some() || !(self.diagnosis.is_over() || now >= self.until) {
            return vec![];
        }
        let findings = self.diagnosis.findings();
        self.found = Some(findings.clone());
        vec![Entry::Found { step: step.to_owned(), topic: self.topic, findings }]
    }

    pub(super) fn status(&self) -> Status {
        let Some(found) = &self.found else { return Status::Working };
        let count = |health| found.iter().filter(|it| it.health == health).count();
        let all = [Health::Bad, Health::Suspect, Health::Unknown];
        let told: Vec<String> = all
            .into_iter()
            .filter(|health| count(*health) > 0)
            .map(|health| format!("{} {}", count(health), health.word()))
            .collect();
        let told = if told.is_empty() { "nothing is wrong".into() } else { told.join(", ") };
        Status::Done(format!("{}: {told}", self.topic.word()))
    }

    pub(super) fn wake_at(&self) -> Timestamp {
        self.until
    }
}
