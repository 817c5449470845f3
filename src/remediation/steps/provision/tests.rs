//! Rung by rung, each recorded before it is asked; and what nobody needs is given back.

use super::super::super::fixture::plan;
use super::*;
use crate::model::{
    Bearing, Climbing, CloudCall, ClusterCall, Displaced, Granted, Group, Joined, Placeholders,
    PlannedRung, Question, Refusal, Source, Span, Waiting, Zone,
};
use serde_json::json;

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn group(name: &str) -> Source {
    Source::Group { group: Group::Named { name: name.into() } }
}

fn places() -> Source {
    Source::Placeholders(Placeholders {
        namespace: "medevac".into(),
        image: "pause".into(),
        priority_class: "low".into(),
        instance_types: vec![],
        zone: Zone::Same,
    })
}

fn two_rungs(sources: [Source; 2]) -> Plan {
    let rung = |source| PlannedRung { source, machines: 1, within: Span::seconds(60) };
    let capacity = PlannedCapacity {
        ladder: "training".into(),
        bearing: Bearing {
            labels: [("kind".to_owned(), "on-demand".to_owned())].into(),
            tolerations: vec![],
        },
        zone: "a".into(),
        pods: vec![Displaced {
            namespace: "training".into(),
            name: "llm-0".into(),
            gpus: 8,
            maker: "training/Job/llm".into(),
            node: "n".into(),
        }],
        rungs: sources.map(rung).into(),
    };
    let mut plan = Plan { capacity: vec![capacity], ..plan(vec![]) };
    let action = crate::model::Action::Provision { ladders: vec![], within: Span::seconds(300) };
    plan.steps = vec![super::super::super::fixture::step("provision", action, &[])];
    plan
}

/// A life of the step: what it wants recorded is recorded, what it asks is handed out.
struct Life {
    plan: Plan,
    journal: Journal,
    machine: Provision,
    look: Look,
    now: u64,
}

impl Life {
    fn begin(plan: Plan) -> Life {
        let mut journal = Journal::new(&plan);
        let undo = crate::model::Undo::GiveBack;
        journal.take(&Entry::Started { step: "provision".into(), undo }).unwrap();
        Life { machine: Self::machine(&plan, 0), plan, journal, look: Look::default(), now: 0 }
    }

    fn machine(plan: &Plan, now: u64) -> Provision {
        Provision::new(plan, &plan.steps[0], at(now + 300), at(now))
    }

    /// The daemon dies and comes back.
    fn again(&mut self) {
        self.machine = Self::machine(&self.plan, self.now);
    }

    fn ask(&mut self) -> Option<Work> {
        for _ in 0..5 {
            let news = self.machine.news(&self.plan, &self.journal, &self.look, at(self.now));
            if news.is_empty() {
                break;
            }
            for entry in news {
                self.journal.take(&entry).unwrap();
            }
        }
        let mut asked = self.machine.poll(&self.plan, &self.journal, at(self.now));
        assert!(asked.len() <= 1);
        asked.pop().map(|(_, work)| work)
    }

    fn answer(&mut self, answer: Answer) {
        self.machine.answer("0", answer, at(self.now));
    }

    fn state(&self) -> (u32, u32, &Climbing) {
        let of = &self.journal.climbed["training"];
        (of.round, of.rung, &of.state)
    }
}

fn granted(machines: &[&str]) -> Answer {
    let machines = machines.iter().map(|it| (*it).to_owned()).collect();
    Answer::Said(serde_json::to_string(&Granted { machines }).unwrap())
}

fn joined(machine: &str, ready: bool, pods: u32) -> Answer {
    let joined = Joined { machine: machine.into(), node: "od-1".into(), ready, pods };
    Answer::Said(serde_json::to_string(&[joined]).unwrap())
}

fn none_left() -> Answer {
    Answer::Refused(Refusal::Invalid("InsufficientInstanceCapacity".into()))
}

fn key(work: &Work) -> String {
    match work {
        Work::Cloud(CloudCall::Provision(order) | CloudCall::GiveBack { order, .. }) => {
            order.key.clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn where_one_rung_has_nothing_the_next_is_asked_at_once_under_another_key() {
    let mut life = Life::begin(two_rungs([group("same-zone"), group("other-zone")]));
    let first = life.ask().unwrap();
    assert!(matches!(life.state(), (0, 0, Climbing::Asked)), "recorded before it is asked");
    life.answer(none_left());
    let back = life.ask().unwrap();
    assert!(
        matches!(&back, Work::Cloud(CloudCall::GiveBack { machines, .. }) if machines.is_empty())
    );
    assert_eq!(key(&back), key(&first));
    life.answer(granted(&[]));
    let second = life.ask().unwrap();
    assert!(matches!(life.state(), (0, 1, Climbing::Asked)));
    assert_ne!(key(&second), key(&first));
    life.answer(granted(&["i-2"]));
    assert!(matches!(life.ask(), Some(Work::Ask(crate::model::Question::Machines { .. }))));
    life.answer(joined("i-2", false, 0));
    assert_eq!(life.ask(), None, "it is looked at again after a while");
    life.now = 30;
    assert!(life.ask().is_some());
    life.answer(joined("i-2", true, 0));
    assert_eq!(life.ask(), None);
    assert!(matches!(life.state(), (0, 1, Climbing::Ready { .. })));
    let said = "od-1 by the group other-zone, rung 2 of training";
    assert_eq!(life.machine.status(at(30)), Status::Done(said.into()));
}

#[test]
fn a_life_that_comes_later_asks_for_nothing_new() {
    let mut life = Life::begin(two_rungs([group("one"), group("two")]));
    let first = life.ask().unwrap();
    life.again();
    assert_eq!(life.ask().unwrap(), first, "the same key is the same request");
    life.answer(none_left());
    assert!(matches!(life.ask(), Some(Work::Cloud(CloudCall::GiveBack { .. }))));
    assert!(matches!(life.state(), (0, 0, Climbing::Refused { .. })));
    life.again();
    let again = life.ask().unwrap();
    assert!(matches!(again, Work::Cloud(CloudCall::GiveBack { .. })), "{again:?}");
}

#[test]
fn throttling_is_no_refusal_and_a_rung_that_brings_nothing_in_time_is_one() {
    let mut life = Life::begin(two_rungs([group("one"), group("two")]));
    let first = life.ask().unwrap();
    let busy = Refusal::Busy { retry_after: Some(20), message: "Throttling".into() };
    life.answer(Answer::Refused(busy));
    assert_eq!(life.ask(), None);
    life.now = 20;
    assert_eq!(life.ask().unwrap(), first);
    life.answer(granted(&[]));
    life.now = 61;
    assert!(matches!(life.ask(), Some(Work::Cloud(CloudCall::GiveBack { .. }))));
    let (0, 0, Climbing::Refused { why }) = life.state() else { panic!("{:?}", life.state()) };
    assert_eq!(why, "no node was ready in time: 0 of 1 machines have come");
}

#[test]
fn after_the_last_rung_it_begins_anew_until_its_time_is_up() {
    let mut life = Life::begin(two_rungs([group("one"), group("two")]));
    let refuse = |life: &mut Life| {
        assert!(matches!(life.ask(), Some(Work::Cloud(CloudCall::Provision(_)))));
        life.answer(none_left());
        assert!(matches!(life.ask(), Some(Work::Cloud(CloudCall::GiveBack { .. }))));
        life.answer(granted(&[]));
    };
    refuse(&mut life);
    refuse(&mut life);
    assert_eq!(life.ask(), None);
    assert_eq!(life.machine.wake_at(), Some(at(60)), "capacity that is gone comes back in minutes");
    life.now = 60;
    refuse(&mut life);
    assert!(matches!(life.state(), (1, 0, _)));
    life.now = 300;
    let Status::Failed(why) = life.machine.status(at(300)) else { panic!() };
    assert!(why.starts_with("training has nothing: "), "{why}");
    assert!(why.contains("the group two: InsufficientInstanceCapacity"), "{why}");
}

#[test]
fn a_place_is_held_until_whom_it_is_for_takes_it() {
    let mut life = Life::begin(two_rungs([places(), group("two")]));
    let Some(Work::Ask(crate::model::Question::One { name, .. })) = life.ask() else { panic!() };
    assert_eq!(name, "llm-0");
    let pod = json!({ "spec": {
        "nodeSelector": { "kind": "spot" }, "volumes": [{ "name": "secret" }],
        "containers": [{ "name": "train", "env": [{ "name": "TOKEN", "value": "s3cret" }],
            "resources": { "limits": { "nvidia.com/gpu": "8" } } }],
    } });
    life.answer(Answer::Said(pod.to_string()));
    let Some(Work::Cluster(ClusterCall::Make(made))) = life.ask() else { panic!() };
    let spec = &made.body["spec"];
    assert_eq!(spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"], "8");
    assert!(!made.body.to_string().contains("s3cret"), "it does nothing that the pod does");
    let asks = spec.pointer("/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions").unwrap();
    assert_eq!(
        asks,
        &json!([
            { "key": "kind", "operator": "In", "values": ["on-demand"] },
            { "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"] },
        ])
    );
    life.answer(Answer::Done);
    assert!(matches!(life.ask(), Some(Work::Ask(crate::model::Question::Many { .. }))));
    life.answer(pending());
    let asked = life.ask().unwrap();
    assert!(matches!(&asked, Work::Ask(Question::Events { name, .. }) if name == "place-0"));
    // Others tell that it waits as well; and Karpenter did of a rung before.
    let told = |by: &str, at: &str| json!({ "reason": "FailedScheduling", "reportingComponent": by, "lastTimestamp": at, "message": "m" });
    let told = [
        told("default-scheduler", "1970-01-01T00:00:05Z"),
        told("karpenter", "1969-12-31T23:59:59Z"),
    ];
    life.answer(Answer::Said(json!(told).to_string()));
    assert_eq!(life.ask(), None);
    life.now = 10;
    assert!(life.ask().is_some());
    let held = json!([{ "spec": { "nodeName": "od-7" }, "status": { "phase": "Running" } }]);
    life.answer(Answer::Said(held.to_string()));
    assert_eq!(life.ask(), None);
    assert!(matches!(life.state(), (0, 0, Climbing::Ready { nodes }) if nodes == &["od-7"]));
}

fn pending() -> Answer {
    let pod =
        json!({ "metadata": { "name": "place-0" }, "spec": {}, "status": { "phase": "Pending" } });
    Answer::Said(json!([pod]).to_string())
}

#[test]
fn where_karpenter_has_no_offering_the_next_rung_is_asked_at_once() {
    let mut life = Life::begin(two_rungs([places(), group("two")]));
    for said in [Answer::Said("{}".into()), Answer::Done, pending()] {
        life.ask().unwrap();
        life.answer(said);
    }
    assert!(matches!(life.ask(), Some(Work::Ask(Question::Events { .. }))));
    let told = json!([{ "reason": "FailedScheduling", "source": { "component": "karpenter" },
        "message": "Failed to schedule pod, no offering", "lastTimestamp": "1970-01-01T00:00:01Z" }]);
    life.answer(Answer::Said(told.to_string()));
    assert!(matches!(life.ask(), Some(Work::Cluster(ClusterCall::Unmake { .. }))));
    life.answer(Answer::Done);
    assert!(matches!(life.ask(), Some(Work::Cloud(CloudCall::Provision(_)))));
    assert_eq!(life.state(), (0, 1, &Climbing::Asked));
    life.answer(none_left());
    life.now = 300;
    life.ask();
    life.answer(granted(&[]));
    let Status::Failed(why) = life.machine.status(at(300)) else { panic!() };
    assert!(why.contains("Karpenter brings no node: Failed to schedule pod"), "{why}");
}

#[test]
fn places_are_let_go_once_those_that_they_are_for_wait_themselves() {
    let mut life = Life::begin(two_rungs([places(), group("two")]));
    life.ask().unwrap();
    life.answer(Answer::Said("{}".into()));
    life.ask().unwrap();
    life.answer(Answer::Done);
    let starting = Waiting { count: 1, names: vec![], why: None };
    life.look.waiting = [("training/Job/llm".to_owned(), starting)].into();
    assert!(matches!(life.ask(), Some(Work::Ask(_))), "it has a node, and starts there");
    life.answer(Answer::Said(json!([{ "status": { "phase": "Pending" } }]).to_string()));
    let waiting = Waiting { count: 1, names: vec![], why: Some("0/3 nodes are available".into()) };
    life.look.waiting = [("training/Job/llm".to_owned(), waiting)].into();
    assert!(matches!(life.ask(), Some(Work::Cluster(ClusterCall::Unmake { .. }))));
    assert_eq!(life.state(), (0, 0, &Climbing::Yielded));
    life.answer(Answer::Done);
    assert!(matches!(life.machine.status(at(0)), Status::Done(_)));
    assert_eq!(life.ask(), None);
}

/// What is asked and answered until it is over.
fn give_back(life: &Life, look: &Look, mut answers: Vec<Answer>) -> (Vec<Work>, Status) {
    let mut machine = GiveBack::new(&life.plan, &life.journal, "provision", look, at(100));
    let mut asked = vec![];
    while let Some((tag, work)) = machine.poll(at(100)).pop() {
        asked.push(work);
        machine.answer(&tag, answers.remove(0), at(100));
    }
    (asked, machine.status(at(100)))
}

#[test]
fn what_nothing_runs_on_is_given_back_and_what_is_used_or_waited_for_stays() {
    let mut life = Life::begin(two_rungs([group("one"), group("two")]));
    let first = life.ask().unwrap();
    let answers = || vec![granted(&["i-1"]), joined("i-1", true, 0), granted(&[])];
    let (asked, status) = give_back(&life, &Look::default(), answers());
    assert_eq!(key(&asked[0]), key(&first));
    assert!(
        matches!(&asked[2], Work::Cloud(CloudCall::GiveBack { machines, .. }) if machines == &["i-1"])
    );
    assert_eq!(status, Status::Done("given back: i-1".into()));
    let used = vec![granted(&["i-1"]), joined("i-1", true, 3)];
    let (asked, status) = give_back(&life, &Look::default(), used);
    assert_eq!((asked.len(), status), (2, Status::Done("all of it is in use".into())));
    let waiting = Waiting { count: 1, names: vec![], why: Some("no room".into()) };
    let look =
        Look { waiting: [("training/Job/llm".to_owned(), waiting)].into(), ..Look::default() };
    let (asked, status) = give_back(&life, &look, vec![]);
    assert_eq!(asked, vec![]);
    assert_eq!(status, Status::Done("machines are kept: pods wait for them".into()));
}
