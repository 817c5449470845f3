//! What operators apply: alerts by promtool, dashboards by the metrics that there are, Terraform's form, and the rights of
//! the chart. The chart itself is rendered and admitted in `tests/cluster`.

use crate::support::servers::{cache, python};
use regex_lite::Regex;
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, process::Command};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

/// The rule groups of the PrometheusRule, as Prometheus reads them from a file.
pub(crate) fn groups() -> String {
    let file = format!("{ROOT}/deploy/observability/prometheus-rule.yaml");
    let print = "import sys, yaml; yaml.safe_dump(yaml.safe_load(open(sys.argv[1]))['spec'], sys.stdout, sort_keys=False)";
    run(Command::new(python()).args(["-c", print, &file]))
}

#[test]
fn alerts_fire_as_promtool_says() {
    let promtool = cache().join("prometheus/usr/bin/promtool");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("groups.yaml"), groups()).unwrap();
    let tests = format!("{ROOT}/deploy/observability/rules_test.yaml");
    std::fs::copy(tests, directory.path().join("rules_test.yaml")).unwrap();
    let here =
        |words: &[&str]| run(Command::new(&promtool).args(words).current_dir(directory.path()));
    let checked = here(&["check", "rules", "groups.yaml"]);
    assert!(checked.contains("SUCCESS"), "{checked}");
    here(&["test", "rules", "rules_test.yaml"]);
}

#[test]
fn every_alert_that_ships_is_seen_to_fire() {
    let read = |name: &str| {
        std::fs::read_to_string(format!("{ROOT}/deploy/observability/{name}")).unwrap()
    };
    let (rules, tests) = (read("prometheus-rule.yaml"), read("rules_test.yaml"));
    let alert = Regex::new(r"- alert: (\w+)").unwrap();
    let all: Vec<&str> =
        alert.captures_iter(&rules).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(all.len() > 15, "{all:?}");
    let fires = |name: &&str| {
        let wanted =
            Regex::new(&format!(r"alertname: {name}\n\s+eval_time: \w+\n\s+exp_alerts:\n"));
        wanted.unwrap().is_match(&tests)
    };
    let unseen: Vec<&str> = all.into_iter().filter(|name| !fires(name)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// One of each: what nobody has counted yet is not exposed.
fn each(metrics: &medevac::telemetry::Metrics) {
    metrics.received("s", "accepted", 1);
    metrics.heard("metadata", 1.0, true);
    metrics.verdict("r", "act");
    metrics.missed("r");
    metrics.remediated("r", "succeeded", Some(1.0));
    metrics.lost("r", 1, 1);
    metrics.guard_held([("g".to_owned(), 1)].into_iter());
    metrics.guard_denied("g");
    metrics.paged("console", "accepted");
}

/// The words of a query that are names of metrics, by how the exporters' begin.
fn metrics(query: &str) -> BTreeSet<String> {
    let name =
        Regex::new(r"\b(DCGM_|kube_|medevac_|container_|response_|trivy_)[A-Za-z0-9_]+").unwrap();
    name.find_iter(query).map(|found| found.as_str().to_owned()).collect()
}

fn queries(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key == "expr" || key == "query" => into.push(text.to_owned()),
                    _ => queries(value, into),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| queries(value, into)),
        _ => {}
    }
}

#[test]
fn dashboards_and_alerts_name_metrics_that_there_are() {
    let metrics_of_ours = medevac::telemetry::Metrics::default();
    each(&metrics_of_ours);
    let own = metrics_of_ours.render();
    let own: BTreeSet<&str> =
        own.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(own.len() > 20, "{own:?}");
    let others = std::fs::read_to_string(format!("{ROOT}/tests/corpus/metrics.txt")).unwrap();
    let others: BTreeSet<&str> = others.lines().filter(|line| !line.starts_with('#')).collect();
    let known = |name: &str| {
        let bare =
            ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        others.contains(name) || own.contains(name) || bare.is_some_and(|bare| own.contains(bare))
    };
    let mut found: Vec<(String, String)> = vec![("prometheus-rule.yaml".into(), groups())];
    let boards = Path::new(ROOT).join("deploy/observability/dashboards");
    for file in std::fs::read_dir(boards).unwrap() {
        let path = file.unwrap().path();
        let board: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut all = vec![];
        queries(&board["panels"], &mut all);
        assert!(
            all.len() >= 6 && board["uid"].as_str().unwrap().starts_with("medevac-"),
            "{}",
            path.display()
        );
        queries(&board["templating"], &mut all);
        found.extend(all.into_iter().map(|query| (path.display().to_string(), query)));
    }
    assert!(found.len() > 30, "{}", found.len());
    // Label names of kube-state-metrics begin like its metrics.
    let labels = ["container_name"];
    for (place, query) in found {
        let unknown: Vec<String> = metrics(&query)
            .into_iter()
            .filter(|name| !known(name) && !labels.contains(&name.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{place}: nobody exposes {unknown:?}");
    }
}

/// Terraform in a copy of the module, attached to a provider that has the real one's schema.
struct Terraform {
    directory: tempfile::TempDir,
    attach: String,
    provider: std::process::Child,
}

impl Drop for Terraform {
    fn drop(&mut self) {
        self.provider.kill().ok();
        self.provider.wait().ok();
    }
}

impl Terraform {
    /// `None`: there is no Terraform, or nothing that would serve the schema.
    fn start() -> Option<Terraform> {
        let schemas = cache().join("terraform-aws-21.22.1");
        let there = |name: &str| Command::new(name).arg("--version").output().is_ok();
        if !there("terraform") || !there("node") || !schemas.exists() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut types = BTreeSet::new();
        let named = Regex::new(r#"(?m)^(resource|data) "(aws_\w+)""#).unwrap();
        for file in std::fs::read_dir(format!("{ROOT}/deploy/terraform")).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            types.extend(named.captures_iter(&text).map(|found| match &found[1] {
                "data" => format!("data.{}", &found[2]),
                _ => found[2].to_owned(),
            }));
            std::fs::write(directory.path().join(path.file_name().unwrap()), text).unwrap();
        }
        let mut provider = Command::new("node")
            .arg(format!("{ROOT}/tests/tools/provider.mjs"))
            .arg(&schemas)
            .args(types)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut attach = String::new();
        let said = provider.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut attach).unwrap();
        let terraform = Terraform { directory, attach, provider };
        let (good, told) = terraform.run(&["init", "-backend=false", "-input=false", "-no-color"]);
        assert!(good, "{told}");
        Some(terraform)
    }

    fn run(&self, words: &[&str]) -> (bool, String) {
        let output = Command::new("terraform")
            .args(words)
            .current_dir(self.directory.path())
            .env("TF_REATTACH_PROVIDERS", self.attach.trim())
            .env("TF_CLI_CONFIG_FILE", "/dev/null")
            .env("CHECKPOINT_DISABLE", "1")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// With one thing changed in one file.
    fn changed(&self, file: &str, from: &str, to: &str) -> (bool, String) {
        let path = self.directory.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {file}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let told = self.run(&["validate", "-no-color"]);
        std::fs::write(&path, text).unwrap();
        told
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the run has to know that nothing was validated"
)]
fn terraform_finds_the_module_valid_and_would_find_what_is_not() {
    let Some(terraform) = Terraform::start() else {
        return eprintln!("NOT VALIDATED: terraform or the schema of its provider is not here");
    };
    let (good, told) = terraform.run(&["validate", "-no-color"]);
    assert!(good && told.contains("The configuration is valid"), "{told}");
    for (file, from, to, wanted) in [
        ("queue.tf", "receive_wait_time_seconds", "receive_wait_seconds", "Unsupported argument"),
        (
            "queue.tf",
            "= aws_sqs_queue.notices.url",
            "= aws_sqs_queue.notices.urll",
            "Unsupported attribute",
        ),
        (
            "queue.tf",
            "heartbeat_timeout      = var.hook_seconds",
            "heartbeat_timeout = [1]",
            "number required",
        ),
        ("backup.tf", "target_vault_name", "# target_vault_name", "Missing required argument"),
    ] {
        let (good, told) = terraform.changed(file, from, to);
        assert!(!good && told.contains(wanted), "{to}: {told}");
    }
}

/// Its syntax and form.
#[test]
fn terraform_is_in_form() {
    let here = format!("{ROOT}/deploy/terraform");
    match Command::new("terraform").args(["fmt", "-check", "-diff", "-recursive", &here]).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(_) => assert!(
            Path::new(&here).join("main.tf").exists(),
            "terraform is not here; only the files are looked for"
        ),
    }
}

#[test]
fn the_chart_has_exactly_the_rights_that_the_packs_need() {
    let printed = run(Command::new(env!("CARGO_BIN_EXE_medevac"))
        .args(["rbac", "--rules", "rules", "--output", "rules"])
        .current_dir(ROOT));
    let kept = std::fs::read_to_string(format!("{ROOT}/deploy/chart/files/rights.json")).unwrap();
    assert_eq!(
        kept.trim(),
        printed.trim(),
        "medevac rbac --rules rules --output rules > deploy/chart/files/rights.json"
    );
}

/// Every alert that a pack waits for is one of ours, or one that others are known to bring.
#[test]
fn packs_wait_for_alerts_that_somebody_fires() {
    const OTHERS: [&str; 13] = [
        // kube-prometheus
        "KubeNodeNotReady",
        "KubePersistentVolumeFillingUp",
        "KubePersistentVolumeInodesFillingUp",
        "KubeQuotaAlmostFull",
        "KubeQuotaFullyUsed",
        "KubeQuotaExceeded",
        // Velero's chart
        "VeleroBackupFailed",
        "VeleroBackupPartiallyFailed",
        "VeleroBackupTooOld",
        // CloudWatch's exporter; node-problem-detector; names that users have
        "EC2StatusCheckFailed",
        "GpuFellOffTheBus",
        "NodeSpotReclaim",
        "Watchdog",
    ];
    let ours = groups();
    let name = Regex::new(r#"alert\.name (?:==|in) (\[[^\]]*\]|"[^"]*")"#).unwrap();
    let word = Regex::new(r#""([A-Za-z0-9]+)""#).unwrap();
    let mut count = 0;
    for file in std::fs::read_dir(format!("{ROOT}/rules")).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().ends_with("_test.yaml")
            || path.extension().is_none_or(|it| it != "yaml")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for found in name.captures_iter(&text) {
            for alert in word.captures_iter(&found[1]) {
                count += 1;
                let known = OTHERS.contains(&&alert[1])
                    || ours.contains(&format!("alert: {}\n", &alert[1]));
                assert!(known, "{}: nobody fires {}", path.display(), &alert[1]);
            }
        }
    }
    assert!(count > 15, "{count}");
}
