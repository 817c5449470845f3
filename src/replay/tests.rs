//! A day of alerts and notices, and what other rules would have made of it.

use super::*;
use crate::model::{Alert, AlertStatus, Context, Node, Pool, Secret, Target};
use crate::rules;

const RULES: &str = r#"
guards: [{name: g, per: node.pool, limits: {at_once: 2}, storm: {release_after: 10m}}]
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - name: ill
    when: alertmanager.alert.firing
    if: alert.name == "Ill"
    guard: g
    then: [{cordon: {}}, {drain: {}}]
    escalate: p
  - {name: slow, when: alertmanager.alert.firing, if: alert.name == "Slow", for: 5m, escalate: p}
  - {name: burst, when: x.error, count: {at_least: 3, within: 10m}, escalate: p}
  - {name: storm, when: medevac.guard.tripped, escalate: p}
"#;

fn load(text: &str) -> Arc<Ruleset> {
    let source = Arc::new(rules::Source { path: "t".into(), text: text.into() });
    Arc::new(rules::load(&[source], &|_| Ok(Secret::new("s"))).unwrap())
}

fn at(minutes: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(minutes * 60)
}

fn alert(name: &str, node: u64, status: AlertStatus, starts: u64, now: u64) -> Input {
    let alert = Alert {
        status,
        name: name.into(),
        labels: [("alertname".to_owned(), name.to_owned())].into(),
        annotations: BTreeMap::new(),
        starts_at: at(starts),
        ends_at: (status == AlertStatus::Resolved).then(|| at(now)),
        fingerprint: format!("{name}-{node}"),
        generator_url: String::new(),
        receiver: String::new(),
        external_url: String::new(),
        group_key: String::new(),
    };
    let context = Context {
        node: Some(Node { name: format!("n{node}"), pool: "a".into(), ..Node::default() }),
        pool: Some(Pool { name: "a".into(), size: 10 }),
        ..Context::default()
    };
    let kind = match status {
        AlertStatus::Firing => kind::ALERT_FIRING,
        AlertStatus::Resolved => kind::ALERT_RESOLVED,
    };
    let id = Id::of(&[name, &node.to_string(), kind, &now.to_string()]);
    let data = Event { alert: Some(alert), context, ..Event::default() };
    Input::Event(Box::new(Envelope::new(
        kind,
        id,
        "t",
        Target::Node(format!("n{node}")),
        at(now),
        data,
    )))
}

/// What the log would hold of a day under `rules`: each remediation takes seven minutes.
fn day(rules: &Arc<Ruleset>) -> Vec<(Record, Timestamp)> {
    let mut inputs: BTreeMap<(u64, u64), Input> = BTreeMap::new();
    for n in 0..40 {
        inputs.insert((n * 3, n), alert("Ill", n, AlertStatus::Firing, n * 3, n * 3));
        inputs
            .insert((n * 3 + 9, 100 + n), alert("Ill", n, AlertStatus::Resolved, n * 3, n * 3 + 9));
        if n % 4 == 0 {
            let (begin, end) = (n * 3 + 1, n * 3 + 1 + n % 11);
            inputs.insert((begin, 200 + n), alert("Slow", n, AlertStatus::Firing, begin, begin));
            inputs.insert((end, 300 + n), alert("Slow", n, AlertStatus::Resolved, begin, end));
        }
        let id = Id::of(&["x", &n.to_string()]);
        let event = Envelope::new(
            "x.error",
            id,
            "t",
            Target::Node("n1".into()),
            at(n * 2),
            Event::default(),
        );
        inputs.insert((n * 2, 400 + n), Input::Event(Box::new(event)));
    }
    let (mut state, mut log, mut seq, mut extra) = (State::default(), vec![], 0, 1000);
    while let Some(((minute, _), input)) = inputs.pop_first() {
        seq += 1;
        let now = at(minute);
        let said = engine::step(rules, &mut state, seq, &input, now, &mut vec![]);
        log.push(match input {
            Input::Event(event) => (Record::Event(event), now),
            Input::Outcome(outcome) => (Record::Outcome(outcome), now),
        });
        for one in said {
            extra += 1;
            match &one {
                Said::Event(event) => {
                    drop(inputs.insert((minute, extra), Input::Event(event.clone())))
                }
                Said::Decision(decision) => {
                    let data = &decision.data;
                    if let Verdict::Act { .. } = data.verdict {
                        let outcome = Outcome::Remediation {
                            plan: Plan::id_of(&data.incident, data.epoch),
                            incident: data.incident.clone(),
                            epoch: data.epoch,
                            entry: Entry::Ended { how: PlanEnd::Succeeded },
                        };
                        let ends = at(minute + 7);
                        let id = Id::of(&["end", &extra.to_string()]);
                        let outcome = decision.follow(kind::OUTCOME, id, "t", ends, outcome);
                        inputs.insert((minute + 7, extra), Input::Outcome(Box::new(outcome)));
                    }
                }
                Said::Change(_) => {}
            }
            if !matches!(one, Said::Event(_)) {
                log.push((Record::Said(Box::new(one)), now));
            }
        }
    }
    log
}

fn through(log: &[(Record, Timestamp)], rules: &Arc<Ruleset>, from: u64) -> Difference {
    let mut survey = Survey::default();
    for (record, _) in log {
        match record {
            Record::Event(event) if event.source == "medevac/engine" => {
                survey.own.insert(event.id.clone());
            }
            Record::Said(said) => {
                if let Said::Decision(decision) = &**said
                    && matches!(decision.data.verdict, Verdict::Act { .. })
                {
                    survey.acted.insert(decision.id.clone());
                }
            }
            Record::Event(_) | Record::Outcome(_) => {}
        }
    }
    let range = Range { from: at(from), to: at(100_000) };
    let mut replay = Replay::new(Arc::clone(rules), range, survey);
    log.iter().for_each(|(record, now)| replay.take(record, *now));
    replay.end(log.last().unwrap().1)
}

#[test]
fn the_same_rules_decide_the_same() {
    let rules = load(RULES);
    let log = day(&rules);
    for from in [0, 31, 60, 90] {
        let difference = through(&log, &rules, from);
        assert!(difference.nothing(), "from {from}: {difference:#?}");
        assert_eq!(difference.pages.0, difference.pages.1);
    }
    let whole = through(&log, &rules, 0);
    for rule in ["ill", "slow", "burst", "storm"] {
        assert!(whole.rules.get(rule).is_some_and(|of| of.same > 0), "{rule} decided nothing");
    }
    assert!(whole.nodes_at_once.0 > 1 && whole.pages.0 > 0 && whole.events > 100);
}

#[test]
fn other_rules_are_told_apart() {
    let log = day(&load(RULES));
    let tighter = load(&RULES.replace("at_once: 2", "at_once: 1"));
    let difference = through(&log, &tighter, 0);
    let ill = &difference.rules["ill"];
    assert!(!ill.changed.is_empty() && ill.added.is_empty() && ill.removed.is_empty());
    assert_eq!(difference.nodes_at_once.1, 1);

    let quiet = load(&RULES.replace("\"Ill\"", "\"Nobody\""));
    let difference = through(&log, &quiet, 0);
    assert!(difference.rules["ill"].same == 0 && !difference.rules["ill"].removed.is_empty());
    assert!(difference.pages.1 < difference.pages.0, "{:?}", difference.pages);

    let patient = load(&RULES.replace("for: 5m", "for: 9m"));
    let difference = through(&log, &patient, 0);
    assert!(!difference.rules["slow"].removed.is_empty());
    assert!(difference.rules["ill"].changed.is_empty());

    let more = load(&format!("{RULES}  - {{name: fresh, when: x.error, escalate: p}}\n"));
    let difference = through(&log, &more, 60);
    let fresh = &difference.rules["fresh"];
    assert!(!fresh.added.is_empty() && fresh.added.iter().all(|one| one.at >= at(60)));
}
