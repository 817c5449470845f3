//! Alerts are states: they are told once, last, and end.

use super::*;
use crate::model::{Alert, AlertStatus, kind};

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - {name: held, when: alertmanager.alert.firing, if: alert.labels.team == "gpu", for: 5m, escalate: p}
  - {name: group, when: alertmanager.alert.firing, throttle: {once_after: 3m, by: event.type}, escalate: p}
  - {name: many, when: alertmanager.alert.firing, count: {at_least: 2, within: 10m, by: event.type}, escalate: p}
"#;

struct Room {
    rules: Ruleset,
    state: State,
    seq: u64,
    decided: Vec<(String, String, i64)>,
}

impl Room {
    fn new() -> Room {
        let source = Arc::new(crate::rules::Source { path: "t".into(), text: RULES.into() });
        let rules = crate::rules::load(&[source], &|_| Ok(Secret::new("s"))).unwrap();
        Room { rules, state: State::default(), seq: 0, decided: vec![] }
    }

    fn keep(&mut self, said: Vec<Said>) {
        for said in said {
            if let Said::Decision(decision) = said {
                let at = (decision.time.as_second() - BEGIN) / 60;
                let about = decision.subject.to_string();
                self.decided.push((decision.data.rule.clone(), about, at));
            }
        }
    }

    /// An alert on a node, of a team; it began at `starts`. Minutes.
    fn alert(&mut self, name: &str, team: &str, status: AlertStatus, starts: i64, now: i64) {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let alert = Alert {
            status,
            name: name.into(),
            labels: [label("alertname", name), label("team", team)].into(),
            annotations: [].into(),
            starts_at: seconds(starts * 60),
            ends_at: (status == AlertStatus::Resolved).then(|| seconds(now * 60)),
            fingerprint: name.into(),
            generator_url: String::new(),
            receiver: String::new(),
            external_url: String::new(),
            group_key: String::new(),
        };
        let kind = match status {
            AlertStatus::Firing => kind::ALERT_FIRING,
            AlertStatus::Resolved => kind::ALERT_RESOLVED,
        };
        let (at, id) = (seconds(now * 60), Id::of(&[name, kind, &now.to_string()]));
        let data = Event { alert: Some(alert), ..Event::default() };
        let event = Envelope::new(kind, id, "t", Target::Node("n".into()), at, data);
        self.seq += 1;
        let input = Input::Event(Box::new(event));
        let said = step(&self.rules, &mut self.state, self.seq, &input, at, &mut vec![]);
        self.keep(said);
        // Every life begins with what the one before had.
        let text = serde_json::to_string(&self.state).unwrap();
        self.state = serde_json::from_str(&text).unwrap();
    }

    fn wait(&mut self, now: i64) -> Vec<(String, i64)> {
        let said = wake(&self.rules, &mut self.state, seconds(now * 60), &mut vec![]);
        self.keep(said);
        std::mem::take(&mut self.decided).into_iter().map(|(rule, _, at)| (rule, at)).collect()
    }
}

fn is(rule: &str, at: i64) -> (String, i64) {
    (rule.to_owned(), at)
}

use AlertStatus::{Firing, Resolved};

#[test]
fn each_alert_holds_for_itself() {
    let mut room = Room::new();
    room.alert("A", "gpu", Firing, 0, 0);
    room.alert("B", "gpu", Firing, 1, 1);
    // Another alert on the node, and the end of the first, say nothing of the second.
    room.alert("C", "web", Firing, 2, 2);
    room.alert("A", "gpu", Resolved, 0, 3);
    let held: Vec<_> = room.wait(20).into_iter().filter(|(rule, _)| rule == "held").collect();
    assert_eq!(held, [is("held", 6)]);
}

#[test]
fn one_that_fires_for_long_already_is_no_late_event() {
    let mut room = Room::new();
    room.alert("A", "gpu", Firing, -5000, 0);
    assert!(room.wait(0).contains(&is("held", 0)), "it has held for days");
    room.alert("B", "web", Firing, -5000, 1);
    assert!(room.wait(1).contains(&is("many", 1)), "both are news of now");
}

#[test]
fn a_group_is_told_of_while_one_of_it_is_left() {
    let mut room = Room::new();
    room.alert("A", "web", Firing, 0, 0);
    room.alert("B", "web", Firing, 1, 1);
    room.alert("A", "web", Resolved, 0, 2);
    assert!(room.wait(3).contains(&is("group", 3)));
    room.alert("C", "web", Firing, 10, 10);
    room.alert("C", "web", Resolved, 10, 11);
    assert!(!room.wait(20).iter().any(|(rule, _)| rule == "group"), "nobody is left");
}
