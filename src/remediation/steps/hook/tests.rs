//! A hook is told of what goes on for as long as something does, and no longer.

use super::super::super::fixture::{plan, step};
use super::*;
use crate::model::{Action, Pod, Refusal, Undo};

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs())
}

/// A drain and its hook, with the group's patience of a minute.
struct Table {
    plan: Plan,
    journal: Journal,
    machine: HookMachine,
    look: Look,
}

impl Table {
    fn new() -> Table {
        let drain =
            Action::Drain { timeout: crate::model::Span::seconds(900), force: false, grace: None };
        let plan = plan(vec![step("drain", drain, &[])]);
        let hook = Hook {
            group: "gpu".into(),
            name: "empties".into(),
            instance: "i-1".into(),
            token: String::new(),
            patience: Some(60),
        };
        let mut journal = Journal::new(&plan);
        journal.take(&Entry::Accepted).unwrap();
        journal.take(&Entry::Started { step: "drain".into(), undo: Undo::Nothing }).unwrap();
        let pod = |name: &str| Pod { name: name.into(), uid: name.into(), ..Pod::default() };
        let look = Look { pods: vec![pod("a"), pod("b")], ..Look::default() };
        let machine = HookMachine::new(hook, HookResult::Continue, vec!["drain".into()], at(0));
        Table { plan, journal, machine, look }
    }

    /// What is asked now; it is answered so.
    fn asks(&mut self, seconds: i64, answer: Answer) -> Vec<String> {
        let asked = self.machine.poll(&self.journal, &self.look, at(seconds));
        for (tag, work) in &asked {
            assert!(matches!(work, Work::Cloud(_)));
            self.machine.answer(tag, answer.clone(), at(seconds));
        }
        asked.into_iter().map(|(tag, _)| tag).collect()
    }

    fn drained(&mut self) {
        let entry = Entry::Succeeded { step: "drain".into(), note: String::new() };
        self.journal.take(&entry).unwrap();
    }
}

#[test]
fn it_beats_while_pods_go_and_completes_once_they_have_gone() {
    let mut table = Table::new();
    assert_eq!(table.asks(0, Answer::Done), ["beat"], "another life may have died since its last");
    assert!(table.asks(19, Answer::Done).is_empty());
    assert_eq!(table.asks(20, Answer::Unknown("lost".into())), ["beat"], "a third of a minute");
    assert_eq!(table.asks(22, Answer::Done), ["beat"], "what was lost is sent again");
    table.look.stale = true;
    assert!(table.asks(41, Answer::Done).is_empty());
    assert_eq!(table.asks(42, Answer::Done), ["beat"], "nobody knows whether they have gone");
    assert!(table.machine.news(&table.plan, at(42)).is_empty());
    assert_eq!(table.machine.status(), Status::Working);
    table.drained();
    assert_eq!(table.machine.wake_at(&table.journal), Some(Timestamp::MIN));
    assert_eq!(table.asks(43, Answer::Done), ["complete"]);
    assert_eq!(table.machine.status(), Status::Done("gpu goes on".into()));
}

#[test]
fn where_nothing_moves_for_five_minutes_a_person_hears_once_and_the_group_is_not_held_back() {
    let mut table = Table::new();
    let beats: usize = (0..300).map(|n| table.asks(n, Answer::Done).len()).sum();
    assert_eq!(beats, 15);
    assert!(table.machine.news(&table.plan, at(299)).is_empty());
    assert!(table.asks(300, Answer::Done).is_empty());
    let news = table.machine.news(&table.plan, at(300));
    let [Entry::Escalate { why, level: 1, .. }] = news.as_slice() else { panic!("{news:?}") };
    assert!(why.contains("`empties` of gpu waits for 2 pods"), "{why}");
    table.journal.take(&news[0]).unwrap();
    assert!(table.asks(320, Answer::Done).is_empty(), "that a person was told moves nothing");
    assert!(table.machine.news(&table.plan, at(320)).is_empty(), "once");
    table.look.pods.remove(0);
    assert_eq!(table.asks(340, Answer::Done), ["beat"], "it moves again");
}

/// Ten minutes of grace are no standing still.
#[test]
fn whoever_takes_its_time_to_end_is_getting_on() {
    let mut table = Table::new();
    table.look.pods.iter_mut().for_each(|pod| pod.deleted_at = Some(at(605)));
    let beats: usize = (0..600).map(|n| table.asks(n, Answer::Done).len()).sum();
    assert_eq!(beats, 30);
}

#[test]
fn a_group_that_has_gone_on_is_no_failure_and_one_that_refuses_is() {
    let mut table = Table::new();
    table.drained();
    assert_eq!(table.asks(1, Answer::Refused(Refusal::Gone)), ["complete"]);
    assert_eq!(table.machine.status(), Status::Done("gpu does not wait any more".into()));
    let mut table = Table::new();
    let denied = || Answer::Refused(Refusal::Forbidden("no right".into()));
    assert_eq!(table.asks(0, denied()), ["beat"]);
    table.drained();
    assert_eq!(table.asks(1, Answer::Done), ["complete"]);
    let said = "gpu goes on; it took no heartbeat: no right";
    assert_eq!(table.machine.status(), Status::Done(said.into()));
    let mut table = Table::new();
    table.drained();
    let busy = Refusal::Busy { message: "Rate exceeded".into(), retry_after: None };
    assert_eq!(table.asks(1, Answer::Refused(busy)), ["complete"]);
    assert_eq!(table.machine.status(), Status::Working);
    assert_eq!(table.asks(5, denied()), ["complete"], "again");
    assert!(matches!(table.machine.status(), Status::Failed(why) if why == "no right"));
}
