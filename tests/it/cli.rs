//! The binary as a person uses it: exit codes, messages, and the shipped rules.

use std::process::{Command, Output};

fn medevac(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_medevac"))
        .args(args)
        .env_remove("KUBECONFIG")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_shipped_rules_have_no_fault() {
    let checked = medevac(&["check", concat!(env!("CARGO_MANIFEST_DIR"), "/rules")]);
    assert!(checked.status.success(), "{}", text(&checked));
    assert!(text(&checked).contains("No fault."), "{}", text(&checked));
}

#[test]
fn check_shows_every_fault_and_says_no() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.yaml");
    std::fs::write(&file, "rules:\n  - name: a\n    wen: x\n    then: [{cordn: {}}]\n").unwrap();
    let checked = medevac(&["check", file.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(1));
    let shown = text(&checked);
    for wanted in [
        "bad.yaml:3:5",
        "wen: x",
        "^^^",
        "did you mean `when`?",
        "did you mean `cordon`?",
        "3 faults.",
    ] {
        assert!(shown.contains(wanted), "{wanted} is missing in\n{shown}");
    }
    let json = medevac(&["check", "--output", "json", file.to_str().unwrap()]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["good"], false);
    let unknown = value["faults"]
        .as_array()
        .unwrap()
        .iter()
        .find(|fault| fault["code"] == "unknown-key")
        .unwrap();
    assert_eq!((unknown["line"].as_u64(), unknown["column"].as_u64()), (Some(3), Some(5)));
}

#[test]
fn bad_usage_is_64_and_says_what_to_do() {
    let nothing = medevac(&["check"]);
    assert_eq!(nothing.status.code(), Some(64));
    let missing = medevac(&["check", "/nowhere"]);
    assert_eq!(missing.status.code(), Some(64));
    assert!(text(&missing).contains("cannot read /nowhere"), "{}", text(&missing));
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
    let open = medevac(&["run", "--rules", rules, "--listen", "0.0.0.0:9095"]);
    assert_eq!(open.status.code(), Some(64));
    assert!(text(&open).contains("--token-file"), "{}", text(&open));
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let bad = directory.path().join("kubeconfig");
    std::fs::write(&bad, "apiVersion: v1\nkind: Config\ncurrent-context: gone\n").unwrap();
    let args =
        ["run", "--rules", rules, "--listen", "127.0.0.1:0", "--data-dir", data, "--kubeconfig"];
    let kube = medevac(&[&args[..], &[bad.to_str().unwrap()]].concat());
    assert_eq!(kube.status.code(), Some(64));
    assert!(text(&kube).contains("cannot use the kubeconfig"), "{}", text(&kube));
}

#[test]
fn an_operating_command_without_a_daemon_says_so() {
    let none = medevac(&["incidents", "--url", "http://127.0.0.1:1"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none).contains("no daemon answers at http://127.0.0.1:1"), "{}", text(&none));
}

#[test]
fn the_schema_is_json_and_knows_every_step() {
    let schema = medevac(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    let steps = schema["$defs"]["step"]["properties"].as_object().unwrap();
    for verb in [
        "cordon", "uncordon", "taint", "label", "annotate", "drain", "restart", "scale", "wait",
        "verify", "http", "notify", "escalate",
    ] {
        assert!(steps.contains_key(verb), "{verb}");
    }
}

#[test]
fn the_demonstration_comes_to_its_end() {
    let shown = medevac(&["demo"]);
    assert!(shown.status.success(), "{}", text(&shown));
    let shown = text(&shown);
    for wanted in [
        "accepted",
        "matched",
        "planned",
        "cordon done",
        "drain done",
        "verify done",
        "remediation succeeded",
        "calling level 2",
        "acknowledged by you",
        "checkpoint of training/Job/mixture durable",
        "training/mixture is suspended",
        "training/mixture runs again",
        "no work was lost",
        "of 60 pods run",
        " runs on spot-training-",
        "nobody was paged",
    ] {
        assert!(shown.contains(wanted), "{wanted} is missing in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "plain lines where nobody watches");
}
