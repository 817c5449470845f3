//! What is imported loads, says what is missing, and copies no secret.

use super::super::load;
use super::*;
use crate::model::{Mode, Secret};

fn imported(from: Foreign, text: &str) -> (super::super::Ruleset, Imported) {
    let source = Arc::new(Source { path: "theirs.yaml".into(), text: text.into() });
    let imported = import(from, &source).unwrap();
    let ours = Arc::new(Source { path: "ours.yaml".into(), text: imported.text.clone() });
    let rules = load(&[ours], &|_| Ok(Secret::new("s"))).unwrap_or_else(|faults| {
        let told: Vec<String> = faults.iter().map(Diagnostic::line).collect();
        panic!("{}\n{}", told.join("\n"), imported.text)
    });
    assert!(rules.rules.iter().all(|rule| rule.mode == Mode::Observe));
    assert_eq!(rules.rules.len(), imported.rules);
    (rules, imported)
}

#[test]
fn a_rulebook_of_event_driven_ansible() {
    let (rules, imported) = imported(
        Foreign::Eda,
        r#"
- name: gpu
  hosts: all
  sources: [{ansible.eda.alertmanager: {host: 0.0.0.0, port: 8000}}]
  rules:
    - name: Xid error
      condition: event.alert.labels.alertname == "GpuXid" and event.alert.status == "firing"
      throttle: {once_within: 10 minutes, group_by_attributes: [event.alert.labels.node]}
      action: {run_playbook: {name: drain.yml}}
    - name: many
      condition: event.alert.labels.severity in ["critical", "page"] and not event.alert.labels.team is defined
      throttle: {accumulate_within: 1 hour, threshold: 5, group_by_attributes: [event.alert.labels.node, event.alert.labels.gpu]}
      actions: [{debug: {}}, {run_job_template: {name: fix, organization: o}}]
    - name: sequence
      condition: {all: [event.alert.labels.a == "x", event.alert.labels.b is match("y.*")]}
      action: {none: {}}
    - name: pattern
      condition: event.alert.labels.host is search("\d+\.x \( y") and event.alert.labels.a == "b ( c )"
      action: {none: {}}
    - name: facts
      condition: facts.seen == true
      action: {none: {}}
    - name: over
      condition: event.alert.status == "resolved"
      action: {none: {}}
"#,
    );
    assert!(imported.text.contains(r#"if: "alert.name == \"GpuXid\"""#), "{}", imported.text);
    assert!(imported.text.contains(r#"throttle: {once_within: 10m, by: "alert.labels.node"}"#));
    assert!(imported.text.contains("count: {at_least: 5, within: 1h"));
    assert!(imported.text.contains("!has(alert.labels.team)"));
    assert_eq!(rules.rules[5].when, ["alertmanager.alert.resolved"]);
    assert!(rules.rules[5].condition.is_none());
    assert!(imported.text.contains(r#"matches(\"\\\\d+\\\\.x \\\\( y\")"#), "{}", imported.text);
    assert!(imported.text.contains(r#"== \"b ( c )\""#), "{}", imported.text);
    let left: Vec<&str> = imported.left_out.iter().map(|(_, why)| why.as_str()).collect();
    assert!(left.iter().any(|why| why.contains("run_playbook drain.yml")), "{left:?}");
    assert!(left.iter().any(|why| why.contains("`all` of 2 events")), "{left:?}");
}

#[test]
fn rules_of_falco_talon() {
    let (rules, imported) = imported(
        Foreign::Talon,
        r#"
- action: Drain it
  actionner: kubernetes:drain
  parameters: {max_wait_period: 60}
- action: Kill
  actionner: kubernetes:terminate
- rule: Shell in a pod
  match:
    rules: [Terminal shell in container]
    priority: ">=Warning"
    output_fields: ["k8s.ns.name!=kube-system, k8s.ns.name!=falco"]
  actions: [{action: Kill}, {action: Drain it, parameters: {max_wait_period: 90}}]
  dry_run: "true"
"#,
    );
    assert_eq!(rules.rules[0].then.len(), 1);
    assert!(imported.text.contains("drain: {timeout: 90s}"), "{}", imported.text);
    assert!(imported.text.contains(
        r#"event.priority in [\"Emergency\", \"Alert\", \"Critical\", \"Error\", \"Warning\"]"#
    ));
    assert!(imported.left_out.iter().any(|(_, why)| why.contains("`Kill`")));
}

#[test]
fn routes_of_alertmanager() {
    let (rules, imported) = imported(
        Foreign::Alertmanager,
        r##"
route:
  receiver: default
  repeat_interval: 4h
  routes:
    - matchers: [severity="critical", team!="web"]
      receiver: pager
      mute_time_intervals: [Night Shift]
    - match_re: {alertname: "Gpu.*"}
      receiver: gpu team
      continue: true
    - match: {env: dev}
      receiver: nobody
receivers:
  - name: default
    webhook_configs: [{url: "http://sink/x"}]
  - name: pager
    pagerduty_configs: [{routing_key: R0FAKE0SECRET}]
  - name: gpu team
    slack_configs: [{api_url: "https://hooks.slack.com/services/T/B/X0SECRET", channel: "#gpu"}]
    email_configs: [{to: a@b.c}]
  - name: nobody
inhibit_rules: [{source_match: {a: b}}]
time_intervals:
  - name: Night Shift
    time_intervals: [{weekdays: ["monday:friday"], times: [{start_time: "22:00", end_time: "24:00"}], location: Europe/Berlin}]
"##,
    );
    assert!(!imported.text.contains("SECRET"), "{}", imported.text);
    assert_eq!(rules.rules.len(), 4, "{}", imported.text);
    assert!(imported.text.contains("except: [night-shift]"));
    assert!(imported.text.contains("{name: night-shift, days: [monday-friday], from: \"22:00\", to: \"00:00\", zone: Europe/Berlin}"));
    let last = rules.rules.last().unwrap();
    assert_eq!(last.escalate.as_deref(), Some("default"));
    assert_eq!(last.condition.as_ref().unwrap().clauses().len(), 3, "not what a child takes");
    assert!(!imported.text.contains("sink/x"), "a path may be a secret");
    let without = r#"!((\"env\" in alert.labels && alert.labels[\"env\"] == \"dev\"))"#;
    assert!(imported.text.contains(without), "{}", imported.text);
    assert_eq!(imported.text.matches("except:").count(), 1);
    for wanted in ["email_configs", "inhibit", "bot token"] {
        assert!(
            imported.left_out.iter().any(|(about, why)| format!("{about} {why}").contains(wanted)),
            "{wanted}"
        );
    }
}

proptest::proptest! {
    /// Whatever is given: it is refused, or what is written loads or is refused by the checker; never a panic.
    #[test]
    fn nothing_panics(text in r##"(- |name: |rule: |rules: |condition: |route: |receiver: |match: |matchers: |\[|\]|\{|\}|, |\n|\n  |event\.a|==|=~|"x"|and|is|not|in|all: |any: |10 minutes|>=Warning){0,30}"##) {
        for from in [Foreign::Eda, Foreign::Talon, Foreign::Alertmanager] {
            let source = Arc::new(Source { path: "t".into(), text: text.clone() });
            if let Ok(imported) = import(from, &source) {
                let ours = Arc::new(Source { path: "o".into(), text: imported.text });
                load(&[ours], &|_| Ok(Secret::new("s"))).ok();
            }
        }
    }
}
