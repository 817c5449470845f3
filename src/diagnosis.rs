//! Diagnosis: what is wrong with something, from looks that change nothing, with evidence and what to do about it.
//!
//! A topic reads what it wants to know off [`See`], as if all were known; what is not is asked, and it reads again, until
//! there is nothing left to ask. So a topic is a plain function on objects of the API server, and its questions are
//! bounded in one place. The topics are the operational guide's "Common Issues", and quotas.
//! Pure. May import: `model`.

mod facts;
mod gpu;
mod mesh;
mod quota;
mod scheduling;
mod storage;

use crate::model::{Answer, Finding, Health, Question, Refusal, Target, Topic};
use facts::{Fact, See};
use std::collections::BTreeMap;

/// More questions nobody asks of an API server for one incident.
const MOST_QUESTIONS: usize = 60;
/// Questions that are on their way at the same time.
const AT_ONCE: usize = 8;
/// Findings that a person reads.
const MOST_FINDINGS: usize = 30;

/// One topic being looked into.
#[derive(Debug)]
pub struct Diagnosis {
    topic: Topic,
    subject: Target,
    facts: BTreeMap<String, Fact>,
    /// On their way.
    asked: BTreeMap<String, Question>,
}

impl Diagnosis {
    pub fn new(topic: Topic, subject: Target) -> Diagnosis {
        Diagnosis { topic, subject, facts: BTreeMap::new(), asked: BTreeMap::new() }
    }

    fn read(&self) -> (Vec<Finding>, BTreeMap<String, Question>) {
        let see = See::new(&self.facts);
        let found = match self.topic {
            Topic::Gpu => gpu::look(&see, &self.subject),
            Topic::Scheduling => scheduling::look(&see, &self.subject),
            Topic::Storage => storage::look(&see, &self.subject),
            Topic::Mesh => mesh::look(&see, &self.subject),
            Topic::Quota => quota::look(&see, &self.subject),
        };
        (found, see.wants())
    }

    /// What to ask now, each with a tag that its answer brings back.
    pub fn questions(&mut self) -> Vec<(String, Question)> {
        let (_, wants) = self.read();
        let room = MOST_QUESTIONS.saturating_sub(self.facts.len() + self.asked.len());
        let free = AT_ONCE.saturating_sub(self.asked.len()).min(room);
        let new = wants.into_iter().filter(|(tag, _)| !self.asked.contains_key(tag));
        let new: Vec<(String, Question)> = new.take(free).collect();
        self.asked.extend(new.iter().cloned());
        new
    }

    pub fn answer(&mut self, tag: &str, answer: Answer) {
        let Some(question) = self.asked.remove(tag) else { return };
        let fact = match answer {
            Answer::Said(said) => Fact::read(&question, &said),
            Answer::Done | Answer::Refused(Refusal::Gone) => Fact::None,
            Answer::Refused(refusal) => Fact::Unknown(facts::words(&refusal)),
            Answer::Unknown(why) => Fact::Unknown(why),
        };
        self.facts.insert(tag.to_owned(), fact);
    }

    /// There is nothing left to ask.
    pub fn is_over(&self) -> bool {
        let more = || self.facts.len() < MOST_QUESTIONS && !self.read().1.is_empty();
        self.asked.is_empty() && !more()
    }

    /// What has been found, the worst first, with what could not be looked at.
    pub fn findings(&self) -> Vec<Finding> {
        let (mut found, wants) = self.read();
        found.extend(self.facts.iter().filter_map(|(tag, fact)| match fact {
            Fact::Unknown(why) => Some(Finding {
                health: Health::Unknown,
                what: format!("it could not be seen: {tag}"),
                evidence: vec![why.clone()],
                advice: "grant the right to read it, or look by hand".into(),
            }),
            _ => None,
        }));
        if !wants.is_empty() && self.facts.len() >= MOST_QUESTIONS {
            found.push(Finding {
                health: Health::Unknown,
                what: format!(
                    "not everything was looked at: {MOST_QUESTIONS} questions were asked"
                ),
                evidence: vec![],
                advice: "ask about one pod instead of all of them".into(),
            });
        }
        if found.is_empty() {
            found.push(facts::good(format!("nothing is wrong with {}", self.subject)));
        }
        found.sort();
        found.dedup();
        found.truncate(MOST_FINDINGS);
        found
    }
}

#[cfg(test)]
mod tests;
