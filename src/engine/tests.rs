//! The engine's histories: what opens, joins, acts, is held back, and ends.

use super::*;
use crate::model::{
    Alert, AlertStatus, Context, Entry, Id, Incident, Node, Plan, PlanEnd, Pool, Secret,
    Suppression, Target, Verdict, kind,
};
use std::{sync::Arc, time::Duration};

const RULES: &str = r#"
guards: [{name: g, per: node.pool, limits: {at_once: 1}}]
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - name: ill
    when: alertmanager.alert.firing
    if: alert.name == "Ill"
    guard: g
    throttle: {once_within: 1h}
    then: [{cordon: {}}, {drain: {}}]
    escalate: p
  - {name: tell, when: alertmanager.alert.firing, if: alert.name == "Tell", escalate: p}
  - {name: spot, when: aws.ec2.spot.interruption, then: [{cordon: {}}, {drain: {}}]}
  - {name: odd, when: alertmanager.alert.firing, if: alert.labels.nope == "x", escalate: p}
"#;

fn load(text: &str) -> Ruleset {
    let source = Arc::new(crate::rules::Source { path: "t".into(), text: text.into() });
    crate::rules::load(&[source], &|_| Ok(Secret::new("s"))).unwrap()
}

fn rules() -> Ruleset {
    load(RULES)
}

impl Default for Room {
    fn default() -> Room {
        Room { rules: rules(), state: State::default(), seq: 0, misses: vec![] }
    }
}

fn at(minutes: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(minutes * 60)
}

fn storm() -> Ruleset {
    let text =
        RULES.replace("limits: {at_once: 1}", "limits: {at_once: 1}, storm: {release_after: 10m}");
    load(&text)
}

struct Room {
    rules: Ruleset,
    state: State,
    seq: u64,
    misses: Vec<Miscount>,
}

impl Room {
    fn hear(&mut self, input: &Input, minutes: u64) -> Vec<Said> {
        self.seq += 1;
        step(&self.rules, &mut self.state, self.seq, input, at(minutes), &mut self.misses)
    }

    fn alert(
        &mut self,
        name: &str,
        node: &str,
        status: AlertStatus,
        starts: u64,
        minutes: u64,
    ) -> Vec<Said> {
        let ends = (status == AlertStatus::Resolved).then(|| at(minutes));
        let alert = Alert {
            status,
            name: name.into(),
            labels: [("alertname".to_owned(), name.to_owned())].into(),
            annotations: Default::default(),
            starts_at: at(starts),
            ends_at: ends,
            fingerprint: format!("{name}-{node}"),
            generator_url: String::new(),
            receiver: String::new(),
            external_url: String::new(),
            group_key: "group".into(),
        };
        let kind = if ends.is_some() { kind::ALERT_RESOLVED } else { kind::ALERT_FIRING };
        self.seq += 1;
        let id = Id::of(&[&self.seq.to_string()]);
        self.seq -= 1;
        let event =
            self.event(kind, id, node, minutes, Event { alert: Some(alert), ..Event::default() });
        self.hear(&Input::Event(Box::new(event)), minutes)
    }

    fn event(&self, kind: &str, id: Id, node: &str, minutes: u64, data: Event) -> Envelope<Event> {
        let known = Node { name: node.into(), pool: "pool".into(), ..Node::default() };
        let pool = Some(Pool { name: "pool".into(), size: 10 });
        let context = Context { node: Some(known), pool, ..Context::default() };
        let data = Event { context, ..data };
        Envelope::new(kind, id, "t", Target::Node(node.into()), at(minutes), data)
    }

    fn spot(&mut self, node: &str, minutes: u64) -> Vec<Said> {
        let event = self.event(
            kind::SPOT_INTERRUPTION,
            Id::of(&["spot", node]),
            node,
            minutes,
            Event::default(),
        );
        let event = Envelope { deadline: Some(at(minutes + 2)), ..event };
        self.hear(&Input::Event(Box::new(event)), minutes)
    }

    fn ended(&mut self, incident: &Incident, how: PlanEnd, minutes: u64) -> Vec<Said> {
        let plan = Plan::id_of(&incident.id, incident.epoch);
        let (incident, epoch) = (incident.id.clone(), incident.epoch);
        let data = Outcome::Remediation { plan, incident, epoch, entry: Entry::Ended { how } };
        let id = Id::of(&["ended", &minutes.to_string()]);
        let envelope =
            Envelope::new(kind::OUTCOME, id, "t", Target::Node("n".into()), at(minutes), data);
        self.hear(&Input::Outcome(Box::new(envelope)), minutes)
    }

    fn only(&self) -> Incident {
        assert_eq!(self.state.incidents.len(), 1);
        self.state.incidents.values().next().unwrap().clone()
    }
}

fn verdicts(said: &[Said]) -> Vec<&Verdict> {
    said.iter()
        .filter_map(|said| match said {
            Said::Decision(decision) => Some(&decision.data.verdict),
            Said::Change(_) | Said::Event(_) => None,
        })
        .collect()
}

use AlertStatus::{Firing, Resolved};

#[test]
fn an_alert_is_decided_upon_once_however_often_it_is_told() {
    let mut room = Room::default();
    assert!(matches!(verdicts(&room.alert("Ill", "n", Firing, 10, 10))[..], [Verdict::Act { .. }]));
    assert!(room.alert("Ill", "n", Firing, 10, 11).is_empty(), "a repeat");
    assert!(room.alert("Ill", "n", Firing, 9, 12).is_empty(), "the other half of the pair");
    assert!(room.alert("Ill", "n", Firing, 15, 16).is_empty(), "a flap whose end was not told");
    let over = room.ended(&room.only(), PlanEnd::Succeeded, 17);
    assert!(over.is_empty(), "remediated, and it still fires");
    assert_eq!(room.alert("Ill", "n", Resolved, 15, 20).len(), 2, "cleared and resolved");
    assert!(room.state.incidents.is_empty());
    assert!(room.alert("Ill", "n", Firing, 16, 21).is_empty(), "a late copy of what is over");
    assert!(room.alert("Ill", "n", Resolved, 15, 22).is_empty());
    let again = room.alert("Ill", "n", Firing, 30, 30);
    assert!(matches!(
        verdicts(&again)[..],
        [Verdict::Suppressed { reason: Suppression::Throttled { .. } }]
    ));
    assert_eq!(room.only().signals.len(), 1, "held back, and yet an incident");
}

#[test]
fn a_guard_holds_until_the_remediation_has_ended() {
    let mut room = Room::default();
    room.alert("Ill", "a", Firing, 1, 1);
    let first = room.only();
    let held = room.alert("Ill", "b", Firing, 2, 2);
    assert!(matches!(
        verdicts(&held)[..],
        [Verdict::Suppressed { reason: Suppression::Guard { held: 1, .. } }]
    ));
    room.ended(&first, PlanEnd::Failed { step: "drain".into(), why: "x".into() }, 3);
    assert!(matches!(verdicts(&room.alert("Ill", "c", Firing, 4, 4))[..], [Verdict::Act { .. }]));
}

#[test]
fn what_is_paused_waits_and_a_person_is_told_until_the_pause_ends() {
    use crate::model::{Pause, Scope};
    let mut room = Room::default();
    let pause = Pause {
        id: "p1".into(),
        scope: Scope::Rule("ill".into()),
        by: "ada".into(),
        reason: "maintenance".into(),
        since: at(0),
        until: at(60),
    };
    let tell = |room: &mut Room, kind: &str, payload: serde_json::Value, minutes: u64| {
        let data = Event { payload, ..Event::default() };
        let event = room.event(kind, Id::of(&[kind]), "x", minutes, data);
        room.hear(&Input::Event(Box::new(event)), minutes)
    };
    tell(&mut room, kind::PAUSE, serde_json::to_value(&pause).unwrap(), 1);
    let held = room.alert("Ill", "a", Firing, 2, 2);
    assert!(matches!(
        verdicts(&held)[..],
        [Verdict::Suppressed { reason: Suppression::Paused { .. } }]
    ));
    assert!(matches!(verdicts(&room.alert("Tell", "b", Firing, 3, 3))[..], [Verdict::Tell]));
    assert!(matches!(verdicts(&room.spot("c", 4))[..], [Verdict::Act { .. }]), "another rule");
    let restored: State =
        serde_json::from_str(&serde_json::to_string(&room.state).unwrap()).unwrap();
    assert_eq!(restored.pauses.len(), 1, "it survives a restart");
    assert!(matches!(verdicts(&room.alert("Ill", "d", Firing, 61, 61))[..], [Verdict::Act { .. }]));
    tell(&mut room, kind::RESUME, serde_json::json!({ "pause": "p1", "by": "ada" }), 62);
    assert!(room.state.pauses.is_empty());
}

#[test]
fn leave_of_a_plan_that_gets_stuck_after_its_incident_is_resolved_is_given_back() {
    let mut room = Room::default();
    room.alert("Ill", "a", Firing, 1, 1);
    let incident = room.only();
    let payload = serde_json::json!({ "incident": incident.id, "by": "ada", "note": "" });
    let data = Event { payload, ..Event::default() };
    let resolve = room.event(kind::INCIDENT_RESOLVE, Id::of(&["resolve"]), "a", 2, data);
    room.hear(&Input::Event(Box::new(resolve)), 2);
    assert!(room.state.incidents.is_empty());
    assert_eq!(room.state.guards.holders().count(), 1, "its plan still undoes");
    room.ended(&incident, PlanEnd::Stuck { step: "s".into(), why: "w".into() }, 3);
    assert_eq!(room.state.guards.holders().count(), 0);
}

#[test]
fn a_guard_that_trips_and_is_whole_again_is_news_for_rules() {
    let mut room = Room { rules: storm(), ..Room::default() };
    let news = |said: &[Said]| -> Vec<String> {
        said.iter()
            .filter_map(|said| match said {
                Said::Event(event) => Some(event.kind.clone()),
                Said::Change(_) | Said::Decision(_) => None,
            })
            .collect()
    };
    room.alert("Ill", "a", Firing, 1, 1);
    let first = room.only();
    assert_eq!(news(&room.alert("Ill", "b", Firing, 2, 2)), [kind::GUARD_TRIPPED]);
    assert_eq!(news(&room.alert("Ill", "c", Firing, 3, 3)), [""; 0], "told once");
    room.ended(&first, PlanEnd::Succeeded, 4);
    let probe = room.alert("Ill", "d", Firing, 20, 20);
    assert!(matches!(verdicts(&probe)[..], [Verdict::Act { .. }]));
    let probing = room.state.incidents.values().find(|open| open.target.to_string() == "node/d");
    let probing = probing.unwrap().clone();
    assert_eq!(news(&room.ended(&probing, PlanEnd::Succeeded, 21)), [kind::GUARD_RESET]);
}

#[test]
fn what_a_group_ends_with_goes_and_what_it_brings_does_not() {
    let of = |transition: &str| Event {
        context: Context {
            cloud: [("transition".to_owned(), transition.to_owned())].into(),
            ..Context::default()
        },
        ..Event::default()
    };
    assert!(of("terminating").dooms(kind::LIFECYCLE) && !of("launching").dooms(kind::LIFECYCLE));
    assert!(!Event::default().dooms(kind::LIFECYCLE), "nobody says which");
    assert!(Event::default().dooms(kind::SPOT_INTERRUPTION));
    assert!(
        !Event::default().dooms(kind::REBALANCE) && !of("terminating").dooms(kind::MAINTENANCE)
    );
}

#[test]
fn a_spot_notice_takes_over_from_a_drain_without_a_deadline_and_not_from_another_notice() {
    let mut room = Room::default();
    room.alert("Ill", "n", Firing, 1, 1);
    let takes_over = room.spot("n", 2);
    assert!(matches!(verdicts(&takes_over)[..], [Verdict::Act { doomed: true, .. }]));
    let incident = room.only();
    assert_eq!((incident.epoch, incident.plans.len()), (2, 2), "one incident, a newer epoch");
    let later = Envelope {
        deadline: Some(at(9)),
        ..room.event(kind::SPOT_INTERRUPTION, Id::of(&["again"]), "n", 3, Event::default())
    };
    let said = room.hear(&Input::Event(Box::new(later)), 3);
    assert!(matches!(
        verdicts(&said)[..],
        [Verdict::Suppressed { reason: Suppression::Busy { .. } }]
    ));
}

#[test]
fn an_alert_a_condition_and_a_notice_of_one_node_are_one_incident() {
    let mut room = Room {
        rules: load(&format!(
            "{RULES}  - {{name: ill-gpu, when: kubernetes.node.condition, then: [{{cordon: {{}}}}], escalate: p}}\n"
        )),
        ..Room::default()
    };
    room.alert("Tell", "n", Firing, 1, 1);
    let payload = serde_json::json!({ "condition": "SysLogsXIDError", "status": "True" });
    let data = Event { payload, ..Event::default() };
    let condition = room.event(kind::NODE_CONDITION, Id::of(&["condition"]), "n", 2, data);
    room.hear(&Input::Event(Box::new(condition)), 2);
    room.spot("n", 3);
    let incident = room.only();
    assert_eq!((incident.target.to_string().as_str(), incident.epoch), ("node/n", 2));
}

#[test]
fn without_alerts_a_good_end_resolves_and_a_bad_one_stays_open() {
    let mut room = Room::default();
    room.spot("a", 1);
    let good = room.only();
    assert_eq!(room.ended(&good, PlanEnd::Succeeded, 2).len(), 1);
    assert!(room.state.incidents.is_empty());
    room.spot("b", 3);
    let bad = room.only();
    assert!(room.ended(&bad, PlanEnd::Failed { step: "s".into(), why: "w".into() }, 4).is_empty());
    assert!(room.only().note.contains("failed at `s`"));
}

#[test]
fn what_a_truncated_body_hid_is_closed_and_nothing_else() {
    let mut room = Room::default();
    for node in ["a", "b"] {
        room.alert("Tell", node, Firing, 1, 1);
    }
    let payload = serde_json::json!({ "group_key": "group", "active": ["Tell-a"] });
    let event = room.event(
        kind::GROUP_RECONCILED,
        Id::of(&["r"]),
        "x",
        2,
        Event { payload, ..Event::default() },
    );
    room.hear(&Input::Event(Box::new(event)), 2);
    assert_eq!(room.only().target, Target::Node("a".into()));
}

#[test]
fn a_missing_label_is_no_match_and_is_counted() {
    let mut room = Room::default();
    room.alert("Other", "n", Firing, 1, 1);
    assert!(room.state.incidents.is_empty());
    assert!(room.misses.is_empty(), "the index leaves the rule out");
    let text = RULES.replace(r#"alert.labels.nope == "x""#, r#"alert.labels.nope != "x""#);
    let mut room = Room { rules: load(&text), ..Room::default() };
    room.alert("Other", "n", Firing, 1, 1);
    assert_eq!(room.misses[0].rule, "odd");
    assert_eq!(room.misses[0].why, "`alert.labels.nope` is not there");
}

#[test]
fn replayed_from_the_log_the_state_is_the_same() {
    let mut room = Room::default();
    let mut log: Vec<(u64, Result<Input, Said>, Timestamp)> = vec![];
    let mut tell = |room: &mut Room, said: Vec<Said>, input: Option<Input>, minutes: u64| {
        log.extend(input.map(|input| (room.seq, Ok(input), at(minutes))));
        log.extend(said.into_iter().map(|said| (0, Err(said), at(minutes))));
    };
    for minutes in 1..20 {
        let node = ["a", "b", "c"][minutes as usize % 3];
        let event = room.event(
            kind::SPOT_INTERRUPTION,
            Id::of(&[&minutes.to_string()]),
            node,
            minutes,
            Event::default(),
        );
        let input = Input::Event(Box::new(Envelope { deadline: Some(at(100 - minutes)), ..event }));
        let said = room.hear(&input, minutes);
        tell(&mut room, said, Some(input), minutes);
    }
    let mut replayed = State::default();
    for (seq, record, now) in &log {
        match record {
            Ok(input) => replayed.replay(&rules(), *seq, input, *now),
            Err(said) => replayed.said(None, said),
        }
    }
    replayed.windows.of_rules(&rules());
    replayed.take_touched();
    room.state.take_touched();
    let written = serde_json::to_value(&room.state).unwrap();
    assert_eq!(serde_json::to_value(&replayed).unwrap(), written);
    let snapshot: State = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&snapshot).unwrap(), written, "and so it is from a snapshot");
}

#[test]
fn what_came_while_the_robot_was_busy_is_told_to_a_person_if_it_still_fires() {
    let mut room = Room::default();
    room.spot("n", 1);
    let incident = room.only();
    let busy = room.alert("Ill", "n", Firing, 2, 2);
    assert!(matches!(
        verdicts(&busy)[..],
        [Verdict::Suppressed { reason: Suppression::Busy { .. } }]
    ));
    let told = room.ended(&incident, PlanEnd::Succeeded, 3);
    assert!(matches!(verdicts(&told)[..], [Verdict::Tell]), "{told:?}");
    assert!(room.state.parked.is_empty(), "told once");
    assert_eq!(room.alert("Ill", "n", Resolved, 2, 4).len(), 2);
}

#[test]
fn what_a_guard_with_storm_holds_back_is_one_incident_that_ends_with_its_alerts() {
    let mut room = Room { rules: storm(), ..Room::default() };
    room.alert("Ill", "a", Firing, 1, 1);
    for (at, node) in ["b", "c", "d"].iter().enumerate() {
        room.alert("Ill", node, Firing, 2 + at as u64, 2 + at as u64);
    }
    let targets: Vec<String> =
        room.state.incidents.values().map(|open| open.target.to_string()).collect();
    assert_eq!(targets.len(), 2, "{targets:?}");
    let held = |room: &Room| {
        let mut all = room.state.incidents.values();
        all.find(|open| open.target.to_string() == "storm/g/pool").map(|open| open.signals.len())
    };
    assert_eq!(held(&room), Some(3));
    room.alert("Ill", "b", AlertStatus::Resolved, 2, 10);
    assert_eq!(held(&room), Some(2));
    room.alert("Ill", "c", AlertStatus::Resolved, 3, 11);
    room.alert("Ill", "d", AlertStatus::Resolved, 4, 12);
    assert_eq!(held(&room), None, "it is over with the last of them");
}

/// Conditions that last, and signs of life that do not come.
const WATCHES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - name: ill
    when: kubernetes.node.condition
    if: event.status == "False"
    for: {time: 1m, by: event.subject + event.condition}
    escalate: p
  - {name: silent, when: heartbeat, absent: {within: 5m}, escalate: p}
"#;

#[test]
fn what_was_found_by_waiting_is_over_when_the_last_of_it_is() {
    let mut room = Room { rules: load(WATCHES), ..Room::default() };
    let tell = |room: &mut Room, condition: &str, status: &str, minutes: u64| {
        let payload = serde_json::json!({ "condition": condition, "status": status });
        let id = Id::of(&[condition, status, &minutes.to_string()]);
        let data = Event { payload, ..Event::default() };
        let event = room.event(kind::NODE_CONDITION, id, "n", minutes, data);
        room.hear(&Input::Event(Box::new(event)), minutes)
    };
    tell(&mut room, "A", "False", 1);
    tell(&mut room, "B", "False", 1);
    wake(&room.rules, &mut room.state, at(3), &mut room.misses);
    assert_eq!(room.only().watched.len(), 2);
    tell(&mut room, "A", "True", 4);
    assert_eq!(room.only().watched.len(), 1, "another one lasts");
    tell(&mut room, "B", "True", 5);
    assert!(room.state.incidents.is_empty());
    let beat = |room: &mut Room, minutes: u64| {
        let id = Id::of(&["beat", &minutes.to_string()]);
        let event = room.event("heartbeat", id, "n", minutes, Event::default());
        room.hear(&Input::Event(Box::new(event)), minutes)
    };
    beat(&mut room, 10);
    wake(&room.rules, &mut room.state, at(16), &mut room.misses);
    assert_eq!(room.only().watched.len(), 1);
    beat(&mut room, 17);
    assert!(room.state.incidents.is_empty(), "it lives");
}
