//! What a rule file may say, and what is said of it where it may not.

use super::*;
use crate::model::{Action, Secret};

fn try_load(text: &str) -> Result<Ruleset, String> {
    let source = Arc::new(Source { path: "r.yaml".into(), text: text.into() });
    load(&[source], &|_| Ok(Secret::new("s")))
        .map_err(|faults| faults.iter().map(Diagnostic::line).collect::<Vec<_>>().join("\n"))
}

const GOOD: &str = r#"
definitions:
  trains: node.labels["workload"] == "training"
  ours: trains && !("medevac.dev/leave-me" in node.annotations)
guards:
  - name: gpu-nodes
    per: node.pool
    limits: {at_once: 5, share: 30%, rate: 20/1h}
contacts:
  - name: platform
    console: {}
escalations:
  - name: gpu-platform
    levels: [{contacts: platform, delay: 5m}]
rules:
  - name: spot
    when: aws.ec2.spot.interruption
    if: ours
    severity: warning
    guard: gpu-nodes
    deadline: event.deadline
    throttle: {once_within: 10m, by: node.name}
    then:
      - cordon: {taint: medevac.dev/spot-interruption}
      - drain: {}
    otherwise:
      - escalate: {level: 3}
    escalate: gpu-platform
"#;

#[test]
fn the_documented_example_loads() {
    let ruleset = try_load(GOOD).unwrap();
    let rule = ruleset.named("spot").unwrap();
    assert_eq!(rule.then[1].needs, ["cordon"], "a drain waits for what stands above it");
    assert!(
        matches!(&rule.otherwise[0].action, Action::Escalate { policy, level: 3 } if policy == "gpu-platform")
    );
    assert!(ruleset.warnings.is_empty());
}

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    let text = r#"rules:
  - name: a
    wen: x
    when: alertmanager.alert.firing
    if: node.labls["x"] == "y"
    guard: nope
    then:
      - cordn: {}
      - drain: {needs: [cordon], timeout: soon}
    severity: fatal
  - name: a
    when: alertmanager.alert.fring
    escalate: nobody
"#;
    let faults = try_load(text).unwrap_err();
    for wanted in [
        "r.yaml:3:5: error[unknown-key]: unknown key `wen` in a rule (did you mean `when`?)",
        "r.yaml:5:14: error[unknown-field]: `node` has no field `labls` (did you mean `labels`?)",
        "r.yaml:6:12: error[unknown-name]: there is no guard `nope`",
        "r.yaml:8:9: error[unknown-name]: there is no step `cordn` (did you mean `cordon`?)",
        "r.yaml:9:43: error[bad-value]: `soon` is not a duration",
        "r.yaml:10:15: error[bad-value]: `fatal` is not a severity",
        "r.yaml:11:11: error[duplicate]: another rule is called `a`",
        "r.yaml:12:11: error[unknown-name]: no source of ours sends `alertmanager.alert.fring`",
        "r.yaml:13:15: error[unknown-name]: there is no escalation `nobody`",
    ] {
        assert!(faults.contains(wanted), "missing {wanted}\nin\n{faults}");
    }
}

#[test]
fn circles_and_secrets_in_the_clear_are_refused() {
    let faults = try_load(
        "definitions: {a: b && true, b: a && true}\ncontacts:\n  - name: pd\n    pagerduty: {routing_key: R123}\n",
    )
    .unwrap_err();
    assert!(faults.contains("definition `a` is part of a circle"), "{faults}");
    assert!(faults.contains("error[secret]: a secret is given by reference"), "{faults}");
    assert!(!faults.contains("R123"), "{faults}");
    let faults = try_load(
        "rules:\n  - name: r\n    when: x\n    then:\n      - wait: {name: a, needs: [b], time: 1s}\n      - wait: {name: b, needs: [a], time: 1s}\n",
    )
    .unwrap_err();
    assert!(faults.contains("error[cycle]"), "{faults}");
}

#[test]
fn fallbacks_in_a_circle_are_refused() {
    let faults = try_load(
        "contacts:\n  - {name: a, console: {}, fallback: b}\n  - {name: b, console: {}, fallback: a}\n  - {name: c, console: {}, fallback: a}\n",
    )
    .unwrap_err();
    assert!(faults.contains("the fallbacks of `a` lead back to it"), "{faults}");
    assert!(!faults.contains("`c`"), "it leads into the circle, not back to itself: {faults}");
}

#[test]
fn a_rendered_fault_has_line_caret_and_hint() {
    let source = Arc::new(Source { path: "r.yaml".into(), text: "ruls: []\n".into() });
    let faults = load(&[source], &|_| Ok(Secret::new("s"))).unwrap_err();
    let shown = faults[0].render(false);
    for wanted in ["unknown key `ruls`", "r.yaml:1:1", "ruls: []", "^^^^", "did you mean `rules`?"]
    {
        assert!(shown.contains(wanted), "{shown}");
    }
}

proptest::proptest! {
    /// Whatever stands in a file, the answer is a ruleset or faults: never a panic.
    #[test]
    fn nothing_panics(text in r#"[a-z0-9é:{}\[\]",|>&*!#%@`' \n-]{0,200}"#) {
        if let Err(faults) = try_load(&text) {
            proptest::prop_assert!(!faults.is_empty());
        }
        let faults = load(&[Arc::new(Source { path: "x".into(), text })], &|_| Err("no".into()));
        for fault in faults.err().unwrap_or_default() {
            fault.render(false);
        }
    }

    /// The good file with one line cut, doubled or emptied.
    #[test]
    fn a_damaged_file_is_refused_or_read(line in 0usize..32, how in 0u8..3) {
        let mut lines: Vec<&str> = GOOD.lines().collect();
        let at = line % lines.len();
        match how {
            0 => { lines.remove(at); }
            1 => lines.insert(at, lines[at]),
            _ => lines[at] = "",
        }
        try_load(&lines.join("\n")).ok();
    }
}

#[test]
fn what_is_wrong_as_a_whole_is_told() {
    let rule = |name: &str, more: &str| {
        format!(
            "  - name: {name}\n    when: kubernetes.event\n    guard: g\n    then: [{{drain: {{}}}}]\n{more}"
        )
    };
    let file = |rules: &[String]| {
        format!(
            "guards: [{{name: g, limits: {{at_once: 1}}}}]\nwindows: [{{name: never, cron: \"0 0 31 2 *\", for: 1h}}, {{name: night, from: \"22:00\", to: \"6:00\", zone: Europe/Berlin}}]\nrules:\n{}",
            rules.concat()
        )
    };
    let faults = try_load(&file(&[
        rule("short", "    deadline: 60s\n").replace("drain: {}", "wait: {time: 50s}"),
        rule("keyed", "    count: {at_least: 3, within: 1h, by: event.id}\n"),
        rule("few", "    count: {at_least: 1, within: 1h}\n"),
        rule("long", "    for: 30d\n"),
        rule("both", "    throttle: {once_within: 1m, once_after: 1m}\n"),
        rule("hours", "    during: [noon, {from: \"25:00\", to: \"26:00\"}]\n"),
        rule("late", "    lateness: 2h\n"),
        rule("cron", "    except: {cron: \"0 0 * *\", for: 1h}\n"),
    ]))
    .unwrap_err();
    for wanted in [
        "2:31: error[never-fires]: `0 0 31 2 *` never fires",
        "error[too-short]: the steps wait for 50s and the deadline leaves 48s",
        "error[unbounded-key]: `event.id` is another for each event: no window ever fills",
        "error[bad-value]: `at_least` is from 2 to 10000",
        "error[bad-value]: a window is longer than nothing and at most 7d",
        "error[conflict]: `throttle` needs either `once_within` or `once_after`",
        "error[unknown-name]: there is no window `noon` (there are: night",
        "error[bad-value]: `25:00` is not a time of the day",
        "error[bad-value]: an event is late by an hour at most",
        "error[bad-value]: a cron pattern has five fields, and this has 4",
    ] {
        assert!(faults.contains(wanted), "missing {wanted}\nin\n{faults}");
    }
    let warned = try_load(
        &file(&[
            rule("wide", "    if: event.reason == \"a\"\n"),
            rule("narrow", "    if: event.reason == \"a\" && node.ready\n"),
            rule("other", "    if: event.reason == \"b\"\n"),
        ])
        .replace("{name: never, cron: \"0 0 31 2 *\", for: 1h}, ", ""),
    )
    .unwrap();
    let told: Vec<String> = warned.warnings.iter().map(Diagnostic::line).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("[shadowed]: whenever `narrow` matches, `wide` matches before it"));
}

#[test]
fn a_policy_is_asked_of_every_rule() {
    let text = r#"
guards: [{name: g, limits: {at_once: 1}}]
rules:
  - {name: bare, when: kubernetes.event, then: [{drain: {}}]}
  - {name: good, when: kubernetes.event, if: event.reason == "a", guard: g, then: [{drain: {}}]}
  - {name: named, when: kubernetes.event, if: event.reason == "b", guard: g, then: [{restart: {workload: deployment/kube-system/dns}}]}
  - {name: any, when: kubernetes.event, if: event.reason == "c", guard: g, then: [{restart: {}}]}
  - {name: safe, when: kubernetes.event, if: event.reason == "d" && workload.namespace != "kube-system", guard: g, then: [{restart: {}}]}
  - {name: looks, mode: observe, when: kubernetes.event, if: event.reason == "e", then: [{drain: {}}]}
  - {name: goes, when: [aws.ec2.spot.interruption, aws.autoscaling.lifecycle], then: [{drain: {}}, {terminate_instance: {}}]}
  - {name: ends, when: kubernetes.event, if: event.reason == "f", guard: g, then: [{terminate_instance: {}}]}
tests:
  - {name: t, events: [], expect: [{acts: good}, {acts: named}, {acts: any}, {acts: safe}, {acts: goes}, {acts: ends}]}
"#;
    let source = Arc::new(Source { path: "r.yaml".into(), text: text.into() });
    let secret = |_: &super::super::SecretRef| Ok(Secret::new("s"));
    let faults = super::super::load_under(&super::super::Policy::production(), &[source], &secret)
        .unwrap_err();
    let told: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
    assert_eq!(
        told,
        [
            "the policy: the rule `bare` takes things away and has no guard",
            "the policy: the rule `bare` takes things away and no test shows it acting",
            "the policy: the rule `named` may touch a workload in a namespace that no step may touch",
            "the policy: the rule `any` may touch a workload in a namespace that no step may touch",
            "the policy: the rule `ends` has a step that needs approval",
        ]
    );
    assert!(faults.iter().all(|fault| fault.code == Code::Policy));
}

#[test]
fn every_code_has_its_section_in_the_readme() {
    let readme = include_str!("../../../rules/README.md");
    let codes = &readme[readme.find("## Codes").unwrap()..];
    let sections: Vec<&str> = codes.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let words: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
    assert_eq!(sections, words);
}

#[test]
fn what_grows_is_bounded_and_what_differs_by_a_space_differs() {
    let chain = |length: usize, more: &str| {
        let one = |n: usize| format!("  d{n}: {more}d{}\n", n - 1);
        let all: String = (1..length).map(one).collect();
        format!("definitions:\n  d0: event.a == 1\n{all}")
    };
    assert!(try_load(&chain(12, "")).is_ok());
    assert!(
        try_load(&chain(3000, "")).unwrap_err().contains("definitions are nested deeper than 16")
    );
    let twice = chain(2, "").replace("d1: d0", "d1: d0 && d0");
    assert!(try_load(&twice).is_ok());
    let doubling: String = (1..40).map(|n| format!("  d{n}: d{0} && d{0}\n", n - 1)).collect();
    let text = format!("definitions:\n  d0: event.a == 1\n{doubling}");
    assert!(try_load(&text).unwrap_err().contains("error[too-large]"));

    // Words in strings and fields are no names of definitions.
    let named = "definitions: {spot: 'node.capacity_type == \"spot\"', gpu: 'node.labels.gpu == \"true\" && spot'}\n";
    assert!(try_load(named).is_ok());

    let rules = try_load(
        "contacts: [{name: c, console: {}}]\nescalations: [{name: p, levels: [{contacts: c}]}]\nrules:\n  - {name: one, when: x, if: 'event.m == \"a b\"', escalate: p}\n  - {name: two, when: x, if: 'event.m == \"a  b\"', escalate: p}\n",
    )
    .unwrap();
    let texts: Vec<_> =
        rules.rules.iter().map(|rule| rule.condition.as_ref().unwrap().texts()).collect();
    assert_ne!(texts[0], texts[1]);
    let faults =
        try_load("rules:\n  - {name: a, when: x, throttle: {once_within: 1h, by: node}}\n")
            .unwrap_err();
    assert!(faults.contains("error[operand-type]: a node tells nothing apart"), "{faults}");
}

#[test]
fn schedules_say_their_dialect_and_what_the_clocks_do() {
    let told = |schedule: &str| {
        let text = format!(
            "schedules:\n  - {{name: a, {schedule}}}\nrules:\n  - {{name: r, when: schedule.due, if: 'event.schedule == \"a\"', then: [{{wait: {{time: 1s}}}}]}}\n"
        );
        try_load(&text).map_or_else(
            |faults| faults,
            |rules| rules.warnings.iter().map(Diagnostic::line).collect::<Vec<_>>().join("\n"),
        )
    };
    assert_eq!(told("schedule: cron(0 2 * * ? *)"), "");
    assert_eq!(told("schedule: 0 12 * * mon, zone: America/New_York"), "");
    assert!(told("schedule: 0 2 * * ? *").contains("nobody can tell"));
    assert!(told("schedule: cron(0 2 30 2 ? *)").contains("never-fires"));
    let clocks = told("schedule: 30 2 * * *, zone: America/New_York");
    assert!(
        clocks.contains("warning[clocks]: the clocks change at that time on 2026-03-08"),
        "{clocks}"
    );
    let both =
        "schedule: 30 2 * * *, zone: America/New_York, clock_forward: skip, clock_back: once";
    assert_eq!(told(both), "");
    let odd = told("schedule: every 6h, missed: skip, missed_within: 1h, subject: nowhere");
    assert!(odd.contains("makes up for nothing") && odd.contains("is not a target"), "{odd}");
    assert!(told("schedule: every 6h, zone: Nowhere/Land").contains("no time zone"));
    let lone = try_load("rules:\n  - {name: r, when: schedule.due, then: [{wait: {time: 1s}}]}\n");
    assert_eq!(lone.unwrap().warnings[0].code, Code::Unscheduled);
}

#[test]
fn duties_are_read_and_a_gap_is_an_error() {
    let file = |duty: &str| {
        try_load(&format!(
            "contacts: [{{name: ann, console: {{}}}}, {{name: bob, console: {{}}}}]\nwindows: [{{name: office, days: mon-fri, from: \"9:00\", to: \"17:00\", zone: Europe/Berlin}}]\non_call:\n  - {{name: duty, zone: Europe/Berlin, {duty}}}\nescalations: [{{name: p, quiet: office, quiet_below: critical, levels: [{{contacts: [duty, ann]}}]}}]\nrules: [{{name: r, when: x, escalate: p}}]\n"
        ))
    };
    let good = file("people: [ann, bob], shift: weekly, starts: 2026-01-05, hand_off: \"9:30\", overrides: [{who: bob, from: 2026-06-01T00:00, until: 2026-06-02T00:00}]").unwrap();
    let rota = &good.directory.on_call["duty"];
    assert_eq!(
        rota.who("2026-01-05T08:30:00Z".parse().unwrap()),
        Some("ann"),
        "half past nine in Berlin"
    );
    assert_eq!(rota.who("2026-01-12T08:29:59Z".parse().unwrap()), Some("ann"));
    assert_eq!(rota.who("2026-01-12T08:30:00Z".parse().unwrap()), Some("bob"));
    assert_eq!(
        rota.who("2026-05-31T22:00:00Z".parse().unwrap()),
        Some("bob"),
        "midnight in Berlin"
    );
    assert_eq!(good.directory.policies["p"].quiet.len(), 1);
    let layers = "layers: [{people: ann, starts: 2026-01-05, during: office}, {people: bob, shift: 12h, starts: 2026-01-05}]";
    assert!(file(layers).is_ok());
    for (duty, why) in [
        (
            "people: ann, starts: 2026-01-05, during: office",
            "error[gap]: from 2026-01-07 00:00 until 2026-01-07 09:00 nobody",
        ),
        ("people: ann", "needs `starts`"),
        ("people: eve, starts: 2026-01-05", "there is no contact `eve`"),
        ("people: [], starts: 2026-01-05", "nobody takes turns"),
        ("people: ann, starts: soon", "`soon` is not a day"),
        ("people: ann, starts: 2026-01-05, shift: 90m", "`90m` is not a turn"),
        ("people: ann, starts: 2026-01-05, hand_off: \"25:00\"", "not a time of the day"),
        ("starts: 2026-01-05", "either `people` or `layers`"),
        (
            "people: ann, starts: 2026-01-05, overrides: [{who: bob, from: 2026-06-02T00:00, until: 2026-06-01T00:00}]",
            "ends before it begins",
        ),
    ] {
        let told = file(duty).unwrap_err();
        assert!(told.contains(why), "{duty}: {told}");
    }
    let twice = try_load(
        "contacts: [{name: a, console: {}}]\non_call: [{name: a, people: a, starts: 2026-01-05}]\n",
    );
    assert!(twice.unwrap_err().contains("a level could mean either"));
}
