//! The handshake in small: one plan, some members, and what each of them says.

use super::super::fixture::{self, step};
use super::*;
use crate::model::{
    Action, ClusterCall, Id, Means, Member, Pod, Proof, REQUEST, Refusal, STATE, Transport,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn means(transport: Transport, proof: Proof) -> Means {
    Means { transport, proof, container: None, all: true, timeout: Span::seconds(600) }
}

fn unit(name: &str, means: Means, members: usize) -> PlannedCheckpoint {
    let member = |number: usize| Member {
        namespace: "ns".into(),
        name: format!("{name}-{number}"),
        uid: format!("{name}-{number}"),
        ip: "10.0.0.1".into(),
        doomed: number == 0,
    };
    PlannedCheckpoint {
        unit: name.into(),
        id: Id::of(&[name]),
        means,
        members: (0..members).map(member).collect(),
        by: at(78),
        since: Some(at(-600)),
        saved: false,
        takes: None,
        bytes: None,
    }
}

fn exec() -> Means {
    means(Transport::Exec { command: vec!["save".into()] }, Proof::Answer)
}

/// A plan that asks, its journal, and the caches.
struct Table {
    plan: Plan,
    journal: Journal,
    machine: Checkpoint,
    look: Look,
    elsewhere: u64,
}

impl Table {
    fn new(units: Vec<PlannedCheckpoint>, at_once: u32, fresh: Span) -> Table {
        let action = Action::Checkpoint { at_once, fresh, bandwidth: None, profiles: vec![] };
        let pod = |member: &Member| Pod {
            namespace: member.namespace.clone(),
            name: member.name.clone(),
            uid: member.uid.clone(),
            ..Pod::default()
        };
        let members = units.iter().flat_map(|unit| &unit.members);
        let (mut pods, mut peers) = (vec![], vec![]);
        for member in members {
            match member.doomed {
                true => pods.push(pod(member)),
                false => peers.push(std::sync::Arc::new(pod(member))),
            }
        }
        let plan = Plan {
            deadline: Some(at(120)),
            reserve: Span::seconds(12),
            doomed: true,
            made_at: at(0),
            caused_at: at(0),
            checkpoints: units,
            ..fixture::plan(vec![step("checkpoint", action, &[])])
        };
        let mut journal = Journal::new(&plan);
        for entry in [
            Entry::Accepted,
            Entry::Started { step: "checkpoint".into(), undo: crate::model::Undo::Nothing },
        ] {
            journal.take(&entry).unwrap();
        }
        let look = Look { pods, peers, ..Look::default() };
        Table { plan, journal, machine: Checkpoint::new("checkpoint"), look, elsewhere: 0 }
    }

    /// Takes the news in, as the worker does: the words of the states that changed.
    fn news(&mut self, now: Timestamp) -> Vec<String> {
        let entries = self.machine.news(&self.plan, &self.journal, &self.look, self.elsewhere, now);
        let mut words = vec![];
        for entry in entries {
            self.journal.take(&entry).unwrap();
            match entry {
                Entry::Checkpoint { unit, state, .. } => {
                    words.push(format!("{unit} {}", state.word()))
                }
                Entry::Escalate { why, .. } => words.push(format!("escalate {why}")),
                other => panic!("{other:?}"),
            }
        }
        words
    }

    fn asks(&mut self, now: Timestamp) -> Vec<(String, Work)> {
        self.machine.poll(&self.plan, &self.journal, &self.look, now)
    }

    fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        self.machine.answer(&self.plan, tag, answer, now);
    }

    /// Everything that is asked is answered so.
    fn answers(&mut self, answer: &Answer, now: Timestamp) -> usize {
        let asks = self.asks(now);
        asks.iter().for_each(|(tag, _)| self.answer(tag, answer.clone(), now));
        asks.len()
    }
}

#[test]
fn all_members_are_asked_and_all_have_to_be_done() {
    let mut table = Table::new(vec![unit("llm", exec(), 3)], 16, Span::default());
    assert_eq!(table.news(at(0)), ["llm requested"]);
    assert_eq!(table.answers(&Answer::Done, at(0)), 1, "the claim comes first");
    let asks = table.asks(at(1));
    assert_eq!(asks.len(), 3);
    assert!(asks.iter().all(|(_, work)| matches!(work, Work::Cluster(ClusterCall::Exec { .. }))));
    assert!(table.asks(at(2)).is_empty(), "each once");
    table.answer("0/0", Answer::Said(r#"{"state":"durable","reference":"s3://x"}"#.into()), at(20));
    assert_eq!(table.news(at(20)), ["llm acknowledged"]);
    table.answer("0/1", Answer::Said("step 7\nsaved".into()), at(25));
    assert_eq!(table.news(at(25)), [""; 0]);
    table.answer("0/2", Answer::Done, at(30));
    assert_eq!(table.news(at(30)), ["llm durable"]);
    let Some(Handshake::Durable { reference, took, .. }) = table.journal.checkpoints.get("llm")
    else {
        panic!()
    };
    assert_eq!((reference.as_deref(), *took), (Some("s3://x"), Some(Span::seconds(30))));
    assert_eq!(table.machine.over(&table.plan, &table.journal), None, "the leader is told first");
    let told = table.asks(at(30));
    let [(_, Work::Cluster(ClusterCall::PatchPod { annotations, .. }))] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(annotations[STATE].as_ref().unwrap().contains("durable"));
    table.answer("0/told", Answer::Done, at(30));
    assert_eq!(table.machine.over(&table.plan, &table.journal), Some("1 durable".into()));
}

#[test]
fn what_another_plan_asks_for_is_watched() {
    let mut table = Table::new(vec![unit("llm", exec(), 2)], 16, Span::default());
    table.news(at(0));
    let taken = Answer::Refused(Refusal::Changed("somebody else has asked".into()));
    assert_eq!(table.answers(&taken, at(0)), 1);
    assert!(table.asks(at(5)).is_empty());
    assert_eq!(table.news(at(5)), [""; 0]);
    let state = format!(r#"{{"state":"durable","at":"{}","reference":"s3://y"}}"#, at(4));
    table.look.pods[0].annotations.insert(STATE.into(), state);
    assert_eq!(table.news(at(6)), ["llm durable"]);
    assert_eq!(table.machine.over(&table.plan, &table.journal), Some("1 durable".into()));
}

#[test]
fn the_answer_to_an_older_request_is_none() {
    let annotation = means(Transport::Annotation, Proof::Answer);
    let mut table = Table::new(vec![unit("llm", annotation, 1)], 16, Span::default());
    let of = |id: &str, state: &str, at: Timestamp| {
        format!(r#"{{"id":"{id}","state":"{state}","at":"{at}"}}"#)
    };
    let annotate = |table: &mut Table, key: &str, text: String| {
        table.look.pods[0].annotations.insert(key.into(), text);
    };
    annotate(&mut table, REQUEST, of("before", "", at(-1200)));
    annotate(&mut table, STATE, of("before", "durable", at(-1190)));
    assert_eq!(table.news(at(0)), ["llm requested"]);
    assert_eq!(table.news(at(1)), [""; 0], "that was twenty minutes ago");
    table.answers(&Answer::Done, at(1));
    annotate(&mut table, REQUEST, of(unit("llm", exec(), 1).id.as_str(), "", at(0)));
    assert_eq!(table.news(at(2)), [""; 0]);
    // Its own clock is behind by an hour.
    annotate(&mut table, STATE, of(unit("llm", exec(), 1).id.as_str(), "durable", at(-3580)));
    assert_eq!(table.news(at(20)), ["llm durable"]);
}

#[test]
fn what_is_fresh_is_not_asked_for_and_what_cannot_fit_is_not_begun() {
    let (mut fits, mut slow) = (unit("fits", exec(), 1), unit("slow", exec(), 4));
    (fits.takes, slow.takes) = (Some(Span::seconds(70)), Some(Span::seconds(108)));
    let mut table = Table::new(vec![slow, fits, unit("fresh", exec(), 1)], 16, Span::seconds(60));
    let last = ("volcano.sh/last-checkpoint-time".to_owned(), at(-50).to_string());
    table.look.pods[2].annotations.extend([last]);
    let news = table.news(at(0));
    assert_eq!(news[0], "slow expired");
    assert!(
        news[1].contains("takes about 1m48s, and 1m18s are left; about 40m of work"),
        "{news:?}"
    );
    assert_eq!(news[2..], ["fits requested", "fresh durable"]);
}

#[test]
fn no_more_are_written_at_once_than_may_be() {
    let units = ["a", "b", "c"].map(|name| unit(name, exec(), 1)).to_vec();
    let mut table = Table::new(units, 2, Span::default());
    assert_eq!(table.news(at(0)), ["a requested", "b requested"]);
    for _ in 0..2 {
        table.answers(&Answer::Done, at(1));
    }
    assert_eq!(table.news(at(10)), ["a durable", "b durable"]);
    assert_eq!(table.news(at(10)), ["c requested"]);
}

#[test]
fn a_signal_is_proved_by_a_file_that_is_newer() {
    let file = Proof::File { path: "/ckpt/last".into() };
    let signal = Transport::Signal { signal: "USR1".into() };
    let mut table = Table::new(vec![unit("s", means(signal, file), 1)], 16, Span::default());
    table.news(at(0));
    table.answers(&Answer::Done, at(0));
    let asks = table.asks(at(0));
    let [(_, Work::Cluster(ClusterCall::Exec { command, .. }))] = asks.as_slice() else { panic!() };
    assert_eq!(command, &["kill", "-s", "USR1", "1"]);
    table.answer("0/0", Answer::Done, at(1));
    assert_eq!(table.news(at(1)), ["s acknowledged"]);
    let old = at(-5).as_second().to_string();
    for (answer, seconds) in
        [(Answer::Said(old), 4), (Answer::Refused(Refusal::Invalid("no such file".into())), 8)]
    {
        assert_eq!(table.answers(&answer, at(seconds)), 1, "the file is looked at");
        assert_eq!(table.news(at(seconds)), [""; 0]);
    }
    let new = format!("{}\n", at(9).as_second());
    assert_eq!(table.answers(&Answer::Said(new), at(12)), 1);
    assert_eq!(table.news(at(12)), ["s durable"]);
}

#[test]
fn what_does_not_come_in_time_expires_and_what_fails_does_so_at_once() {
    let annotation = means(Transport::Annotation, Proof::Answer);
    let mut table =
        Table::new(vec![unit("mute", annotation, 2), unit("bad", exec(), 1)], 16, Span::default());
    table.news(at(0));
    assert_eq!(table.answers(&Answer::Done, at(0)), 2);
    let asks = table.asks(at(1));
    let tags: Vec<&str> = asks.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(tags, ["0/1", "1/0"], "the leader has its request already");
    table.answer("1/0", Answer::Refused(Refusal::Invalid("exit code 2: no space".into())), at(2));
    table.answer("0/1", Answer::Done, at(2));
    let news = table.news(at(2));
    assert!(news[0] == "bad expired" && news[1].contains("no space"), "{news:?}");
    assert!(table.asks(at(4)).is_empty());
    assert_eq!(table.machine.wake_at(&table.plan, &table.journal), Some(at(78)));
    assert_eq!(table.news(at(77)), [""; 0]);
    assert_eq!(table.news(at(78))[0], "mute expired");
    assert_eq!(
        table.machine.over(&table.plan, &table.journal),
        Some("0 durable, 2 expired".into())
    );
}

/// Of the storage, over all plans: whoever is known to need more than is left waits, and nobody waits for ever.
#[test]
fn what_the_storage_cannot_take_waits() {
    let units = ["a", "b", "c"].map(|name| {
        let (takes, bytes) = (Some(Span::seconds(10)), Some(600));
        PlannedCheckpoint { takes, bytes, ..unit(name, exec(), 1) }
    });
    let mut table = Table::new(units.to_vec(), 16, Span::default());
    let Action::Checkpoint { bandwidth, .. } = &mut table.plan.steps[0].action else { panic!() };
    *bandwidth = Some(130);
    table.elsewhere = 10;
    assert_eq!(table.news(at(0)), ["a requested", "b requested"], "60 bytes a second each");
    assert!(table.machine.crowded());
    assert_eq!(need(&table.plan, &table.journal), 120);
    for _ in 0..2 {
        table.answers(&Answer::Done, at(1));
    }
    assert_eq!(table.news(at(10)), ["a durable", "b durable"]);
    table.elsewhere = 100;
    assert_eq!(table.news(at(10)), [""; 0], "another plan writes");
    table.elsewhere = 0;
    assert_eq!(table.news(at(20)), ["c requested"]);
    assert!(!table.machine.crowded());
    assert_eq!(need(&table.plan, &table.journal), 60);
    let how = crate::model::PlanEnd::Superseded { by: Id::of(&["next"]) };
    table.journal.take(&Entry::Ended { how }).unwrap();
    assert_eq!(need(&table.plan, &table.journal), 0, "nobody waits for a plan that has ended");
}

#[test]
fn an_object_in_s3_proves_it_once_it_is_newer_than_the_request() {
    let object = Proof::Object { bucket: "ckpt".into(), key: "llm/last".into() };
    let signal = Transport::Signal { signal: "USR1".into() };
    let mut table = Table::new(vec![unit("s", means(signal, object), 1)], 16, Span::default());
    table.news(at(0));
    table.answers(&Answer::Done, at(0));
    table.answers(&Answer::Done, at(1));
    assert_eq!(table.news(at(1)), ["s acknowledged"]);
    let asks = table.asks(at(5));
    let [(tag, Work::Cloud(crate::model::CloudCall::ObjectChanged { bucket, key }))] = &asks[..]
    else {
        panic!("{asks:?}")
    };
    assert_eq!((bucket.as_str(), key.as_str()), ("ckpt", "llm/last"));
    table.answer(tag, Answer::Said(at(-5).as_second().to_string()), at(5));
    assert_eq!(table.news(at(5)), [""; 0], "it is the one before");
    assert_eq!(table.answers(&Answer::Said(at(9).as_second().to_string()), at(10)), 1);
    assert_eq!(table.news(at(10)), ["s durable"]);
}
