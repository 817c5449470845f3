//! Each gang's job on its own: one that cannot be suspended holds nobody up.

use super::super::super::fixture::{gang, plan};
use super::*;
use crate::model::Refusal;

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}

fn two() -> Plan {
    Plan { gangs: vec![gang("llm"), gang("vision")], ..plan(vec![]) }
}

fn invalid() -> Answer {
    Answer::Refused(Refusal::Invalid("no such field".into()))
}

#[test]
fn each_waits_for_its_own_checkpoint() {
    let (plan, mut machine) = (two(), Suspend::stop());
    let open = |unit: &str| unit == "training/Job/llm";
    let asked = machine.poll(&plan, &open, &|_| false, at(0));
    let [(tag, Work::Cluster(ClusterCall::Suspend { job, suspended: true, by }))] = &asked[..]
    else {
        panic!("{asked:?}")
    };
    assert_eq!((job.name.as_str(), by.as_str()), ("vision", "inc-1"));
    assert!(machine.busy());
    machine.answer(tag, Answer::Done, at(1));
    assert_eq!(machine.status(&plan), Status::Working, "one waits");
    let asked = machine.poll(&plan, &|_| false, &|_| false, at(20));
    assert_eq!(asked.len(), 1);
    machine.answer(&asked[0].0, Answer::Refused(Refusal::Gone), at(20));
    let said = "training/Job/llm: it is gone; training/Job/vision is suspended";
    assert_eq!(machine.status(&plan), Status::Done(said.into()));
}

#[test]
fn a_job_that_goes_on_fails_nobodys_drain_and_one_that_stays_suspended_does() {
    for (suspended, says) in [(true, "is not suspended"), (false, "is still suspended")] {
        let (plan, mut machine) =
            (two(), if suspended { Suspend::stop() } else { Suspend::resume() });
        let asked = machine.poll(&plan, &|_| false, &|_| false, at(0));
        assert_eq!(asked.len(), 2);
        machine.answer("0", Answer::Done, at(1));
        machine.answer("1", invalid(), at(1));
        let said = match machine.status(&plan) {
            Status::Done(note) if suspended => note,
            Status::Failed(why) if !suspended => why,
            other => panic!("{other:?}"),
        };
        assert!(said.contains(&format!("training/Job/vision {says}: no such field")), "{said}");
    }
}

#[test]
fn where_no_gang_is_there_nothing_is_asked() {
    let (plan, mut machine) = (plan(vec![]), Suspend::stop());
    assert!(machine.poll(&plan, &|_| false, &|_| false, at(0)).is_empty());
    assert_eq!(machine.status(&plan), Status::Done("no gang here can be suspended".into()));
}
