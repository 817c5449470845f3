//! What objects tell, by bodies of real servers and by hand, and what of it is news.

use super::told::{Mark, Told};
use super::*;
use crate::cluster::Custom;
use crate::model::kind;
use serde_json::json;
use std::collections::BTreeSet;

const EVENTS: Followed = Followed::Events { all: false };

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn payloads(all: &[Happening]) -> Vec<&Value> {
    all.iter().map(|it| &it.event.data.payload).collect()
}

#[test]
fn the_events_of_a_real_server_are_read_in_both_shapes() {
    let read = |text: &str| -> Vec<Happening> {
        let list: Value = serde_json::from_str(text).unwrap();
        let items = list["items"].as_array().unwrap().iter();
        items.flat_map(|item| happenings(&EVENTS, item)).collect()
    };
    let core = read(include_str!("../../../tests/corpus/kubernetes/events-list.json"));
    let newer = read(include_str!("../../../tests/corpus/kubernetes/events-k8s-io-list.json"));
    assert_eq!(core.len(), 5);
    // The same events, whichever way they are asked for.
    assert_eq!(core, newer);
    let nodes: Vec<String> = core.iter().map(|it| it.event.subject.to_string()).collect();
    assert!(nodes.contains(&"node/node-0".to_owned()), "{nodes:?}");
    let warnings = core.iter().filter(|it| it.event.data.payload["warning"] == true).count();
    assert_eq!(warnings, 1);
}

fn event(uid: &str, version: u32, count: u32, time: &str) -> Value {
    json!({
        "metadata": {"uid": uid, "resourceVersion": version.to_string(), "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": "gpu-1"}, "type": "Warning", "reason": "NodeXid",
        "message": "Xid 79", "count": count, "lastTimestamp": time, "source": {"component": "dcgm", "host": "gpu-1"},
    })
}

#[test]
fn a_series_is_one_event_that_is_counted() {
    let of = |object: &Value| happenings(&EVENTS, object).remove(0).event;
    let first = of(&event("a", 1, 1, "2026-03-02T09:00:00Z"));
    let third = of(&event("a", 3, 3, "2026-03-02T09:01:00Z"));
    assert_ne!(first.id, third.id);
    assert_eq!(third.data.payload["count"], 3);
    assert_eq!(third.data.payload["reportingController"], "dcgm");
    let mut series = event("a", 9, 1, "2026-03-02T09:00:00Z");
    series["series"] = json!({"count": 7, "lastObservedTime": "2026-03-02T09:05:00.000000Z"});
    let series = of(&series);
    assert_eq!(
        (series.data.payload["count"].as_u64(), series.time),
        (Some(7), at("2026-03-02T09:05:00Z"))
    );
    let mut ours = event("b", 1, 1, "2026-03-02T09:00:00Z");
    ours["reportingComponent"] = json!(OURSELVES);
    assert!(happenings(&EVENTS, &ours).is_empty(), "what we say is no news to us");
    assert!(happenings(&EVENTS, &json!({"metadata": {}})).is_empty());
}

#[test]
fn conditions_are_told_by_their_transitions() {
    let node = |status: &str, time: &str| {
        json!({"metadata": {"uid": "n", "name": "gpu-1"}, "status": {"conditions": [
            {"type": "GPUHealthy", "status": status, "reason": "XidError", "message": "Xid 48", "lastTransitionTime": time,
             "lastHeartbeatTime": "2026-03-02T09:30:00Z"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-03-02T08:00:00Z"},
        ]}})
    };
    let bad = happenings(&Followed::Nodes, &node("False", "2026-03-02T09:00:00Z"));
    assert_eq!(bad.len(), 2);
    assert_eq!(bad[0].event.kind, kind::NODE_CONDITION);
    assert_eq!(bad[0].event.subject.to_string(), "node/gpu-1");
    let wanted = json!({"condition": "GPUHealthy", "status": "False", "reason": "XidError", "message": "Xid 48"});
    assert_eq!(bad[0].event.data.payload, wanted);
    let custom = Custom {
        api_version: "external-secrets.io/v1".into(),
        kind: "ExternalSecret".into(),
        plural: "externalsecrets".into(),
    };
    let secret = json!({"metadata": {"uid": "s", "name": "db", "namespace": "mlops"}, "status": {"conditions": [
        {"type": "Ready", "status": "False", "reason": "SecretSyncedError", "lastTransitionTime": "2026-03-02T09:00:00Z"}]}});
    let told = happenings(&Followed::Objects(custom), &secret);
    assert_eq!(told[0].event.subject.to_string(), "externalsecret/mlops/db");
    assert_eq!(told[0].event.data.payload["kind"], "ExternalSecret");
}

#[test]
fn what_becomes_of_pods_is_told_by_its_reason() {
    let pod = |status: Value| json!({"metadata": {"uid": "p", "name": "llm-0", "namespace": "training"}, "status": status});
    let reasons = |status: Value| -> Vec<String> {
        let all = happenings(&Followed::Pods, &pod(status));
        payloads(&all).iter().map(|it| it["reason"].as_str().unwrap().to_owned()).collect()
    };
    let ended = |reason: &str, code: i32| {
        json!({"phase": "Running", "containerStatuses": [{"name": "c", "restartCount": 2, "state": {"running": {}},
            "lastState": {"terminated": {"reason": reason, "exitCode": code, "finishedAt": "2026-03-02T09:00:00Z"}}}]})
    };
    assert_eq!(reasons(ended("OOMKilled", 137)), ["OOMKilled"]);
    assert_eq!(reasons(ended("Error", 1)), ["Error"]);
    assert!(reasons(ended("Completed", 0)).is_empty());
    let waits = |reason: &str| {
        json!({"phase": "Pending", "conditions": [{"type": "Initialized", "status": "True", "lastTransitionTime": "2026-03-02T09:00:00Z"}],
            "containerStatuses": [{"name": "c", "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "m"}}}]})
    };
    assert_eq!(reasons(waits("ImagePullBackOff")), ["ImagePullBackOff"]);
    assert!(reasons(waits("ContainerCreating")).is_empty());
    let mut crashes = ended("Error", 1);
    crashes["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    assert_eq!(reasons(crashes), ["Error", "CrashLoopBackOff"]);
    let failed = json!({"phase": "Failed", "reason": "Evicted", "message": "disk", "conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": "2026-03-02T09:00:00Z"}]});
    assert_eq!(reasons(failed), ["Evicted"]);
    assert!(reasons(json!({"phase": "Running"})).is_empty());
}

#[test]
fn a_pod_without_a_node_tells_what_nodes_lack_and_only_when_that_changes() {
    let pod = |message: &str| {
        let pod = json!({"metadata": {"uid": "p", "name": "llm-0", "namespace": "training"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastTransitionTime": "2026-03-02T09:00:00Z"}]}});
        happenings(&Followed::Pods, &pod).remove(0).event
    };
    let one = pod("0/4 nodes are available: 4 Insufficient nvidia.com/gpu. preemption: x");
    assert_eq!(one.data.payload["lacks"], json!(["insufficient"]));
    assert_eq!(one.data.payload["nodes"][0]["what"], "nvidia.com/gpu");
    let more = pod("0/5 nodes are available: 5 Insufficient nvidia.com/gpu. preemption: x");
    assert_eq!(one.id, more.id, "a node more lacks the same");
    let other = pod(
        "0/5 nodes are available: 4 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint {spot: }.",
    );
    assert_ne!(one.id, other.id);
}

#[test]
fn a_pod_that_waited_for_a_node_tells_that_it_does_not_any_more() {
    let pod = |status: &str, time: &str| {
        let reason = if status == "False" { "Unschedulable" } else { "" };
        json!({"metadata": {"uid": "p", "name": "llm-0", "namespace": "training"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": status, "reason": reason, "message": "m", "lastTransitionTime": time}]}})
    };
    let mut told = Told::new(&Followed::Pods, None, BTreeSet::new());
    told.listed("1");
    let mut reasons = |object: &Value, is_gone: bool| -> Vec<String> {
        let all = if is_gone {
            gone(&Followed::Pods, object)
        } else {
            happenings(&Followed::Pods, object)
        };
        let news = told.news(object, all, false);
        news.iter().map(|it| it.data.payload["reason"].as_str().unwrap().to_owned()).collect()
    };
    let (waits, placed) = (pod("False", NINE), pod("True", "2026-03-02T09:05:00Z"));
    assert!(reasons(&placed, false).is_empty(), "it never waited");
    assert_eq!(reasons(&waits, false), ["Unschedulable"]);
    assert_eq!(reasons(&placed, false), ["Scheduled"]);
    assert!(reasons(&placed, false).is_empty(), "once");
    assert!(reasons(&placed, true).is_empty(), "its end is nobody's concern");
    assert_eq!(reasons(&waits, false), ["Unschedulable"]);
    assert_eq!(reasons(&waits, true), ["Deleted"]);
}

/// What of these events is news, live or listed: their counts.
fn hears(told: &mut Told, objects: &[Value], listed: bool) -> Vec<u64> {
    let mut counts = vec![];
    for object in objects {
        let news = told.news(object, happenings(&EVENTS, object), listed);
        counts.extend(news.iter().filter_map(|it| it.data.payload["count"].as_u64()));
    }
    counts
}

/// Another life, with what this one has written down.
fn again(what: &Followed, told: &mut Told) -> Told {
    let mark = serde_json::to_vec(&told.mark(7)).unwrap();
    let mark: Option<Mark> = serde_json::from_slice(&mark).unwrap();
    assert_eq!(mark.as_ref().map(|it| it.seq), Some(7));
    Told::new(what, mark, BTreeSet::new())
}

const NINE: &str = "2026-03-02T09:00:00Z";

#[test]
fn what_is_there_at_the_very_first_is_history() {
    let mut told = Told::new(&EVENTS, None, BTreeSet::new());
    assert!(hears(&mut told, &[event("a", 5, 1, NINE), event("b", 6, 4, NINE)], true).is_empty());
    assert_eq!(told.mark(3), None, "a list that is not complete is begun again");
    told.listed("8");
    assert_eq!(hears(&mut told, &[event("a", 9, 2, NINE)], false), [2]);
    assert!(hears(&mut told, &[event("a", 10, 2, NINE)], false).is_empty(), "no more than before");
    assert_eq!(hears(&mut told, &[event("c", 11, 1, NINE)], false), [1]);
    let mark = told.mark(7).unwrap();
    assert_eq!((mark.version.as_str(), mark.seq), ("11", 7));
    assert_eq!(told.mark(7), None, "nothing has changed since");
}

#[test]
fn what_is_listed_once_more_is_news_only_where_it_is_newer() {
    let mut told = Told::new(&EVENTS, None, BTreeSet::new());
    told.listed("10");
    let all = [
        event("a", 9, 1, NINE),
        event("b", 10, 2, NINE),
        event("c", 11, 3, NINE),
        event("d", 100, 4, NINE),
    ];
    let mut other = again(&EVENTS, &mut told);
    assert_eq!(hears(&mut other, &all, true), [3, 4]);
    other.listed("100");
    // The watch is forgotten, and everything is listed again; then another life begins.
    assert!(hears(&mut other, &all, true).is_empty());
    other.listed("100");
    let mut third = again(&EVENTS, &mut other);
    assert!(hears(&mut third, &all, true).is_empty());
    assert_eq!(hears(&mut third, &[event("d", 101, 5, NINE)], false), [5]);
    // Another life died after it had made two of them durable.
    let tail = all[2..].iter().map(|it| happenings(&EVENTS, it).remove(0).event.id).collect();
    let mark = Mark { listed: true, version: "10".into(), ..Mark::default() };
    let mut fourth = Told::new(&EVENTS, Some(mark), tail);
    assert!(hears(&mut fourth, &all[2..], false).is_empty());
    assert_eq!(hears(&mut fourth, &[event("d", 102, 6, NINE)], false), [6]);
}

#[test]
fn a_condition_that_changed_while_nobody_listened_is_news_whatever_the_clocks_show() {
    let node = |name: &str, status: &str, time: &str| {
        json!({"metadata": {"uid": name, "name": name, "resourceVersion": "5"}, "status": {"conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": time}]}})
    };
    let told_of = |told: &mut Told, node: &Value, listed: bool| {
        told.news(node, happenings(&Followed::Nodes, node), listed).len()
    };
    let mut told = Told::new(&Followed::Nodes, None, BTreeSet::new());
    for name in ["a", "b", "c"] {
        assert_eq!(told_of(&mut told, &node(name, "True", "2026-03-01T09:00:00Z"), true), 0);
    }
    told.listed("5");
    assert_eq!(told_of(&mut told, &node("a", "False", "2099-01-01T00:00:00Z"), false), 1);
    assert_eq!(
        told_of(&mut told, &node("a", "False", "2099-01-01T00:00:00Z"), false),
        0,
        "a heartbeat"
    );
    let mut later = again(&Followed::Nodes, &mut told);
    assert_eq!(
        told_of(&mut later, &node("a", "False", "2099-01-01T00:00:00Z"), true),
        0,
        "told before"
    );
    assert_eq!(
        told_of(&mut later, &node("b", "True", "2026-03-01T09:00:00Z"), true),
        0,
        "as it was"
    );
    // By the clock of its own kubelet it was long ago.
    assert_eq!(told_of(&mut later, &node("c", "False", "2026-02-01T09:00:00Z"), true), 1);
    assert_eq!(told_of(&mut later, &node("new", "False", "2026-03-02T09:00:00Z"), true), 1);
    later.listed("9");
    later.gone("c");
    assert_eq!(
        told_of(&mut later, &node("c", "False", "2026-02-01T09:00:00Z"), false),
        1,
        "another one"
    );
}
