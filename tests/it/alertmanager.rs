//! A real Alertmanager: firing, repeating, resolving, truncating, retrying, and the daemon killed in between.

use crate::support::{
    daemon::{self, Orders},
    dying::Death,
    free_port, incidents, metric,
    servers::Alertmanager,
    until,
};
use jiff::Timestamp;
use medevac::log::Stream;
use serde_json::{Value, json};
use std::time::Duration;

const CHILD: &str = "alertmanager::child_daemon";

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
guards: [{name: g, per: node.pool, limits: {at_once: 4}}]
rules:
  - name: gpu-fault
    when: alertmanager.alert.firing
    if: alert.name == "GpuXidCritical"
    guard: g
    then:
      - cordon: {taint: medevac.dev/gpu-fault}
      - drain: {timeout: 1m}
      - verify: {expect: node_empty}
    escalate: p
  - name: many
    when: alertmanager.alert.firing
    if: alert.name == "ManyPods"
    mode: observe
    then: [{cordon: {}}]
"#;

#[tokio::test]
async fn child_daemon() {
    daemon::child().await;
}

fn config(port: u16) -> String {
    let hook = format!("http://127.0.0.1:{port}/api/v1/alertmanager");
    format!(
        "route: {{receiver: medevac, group_by: [alertname], group_wait: 200ms, group_interval: 1s, repeat_interval: 2s,\n\
           routes: [{{receiver: cut, match: {{alertname: ManyPods}}, group_by: [alertname]}}]}}\n\
         receivers:\n\
         - name: medevac\n  webhook_configs: [{{url: \"{hook}\", send_resolved: true}}]\n\
         - name: cut\n  webhook_configs: [{{url: \"{hook}\", send_resolved: true, max_alerts: 5}}]\n"
    )
}

fn alert(name: &str, node: &str, over: bool) -> Value {
    let now = Timestamp::now();
    let mut alert = json!({
        "labels": { "alertname": name, "node": node, "severity": "warning" },
        "annotations": { "summary": "a real one" },
    });
    if over {
        alert["startsAt"] = json!(now - Duration::from_secs(30));
        alert["endsAt"] = json!(now);
    }
    alert
}

async fn with_state(url: &str, target: &str, state: &str) -> Option<Value> {
    let all = incidents(url).await;
    all.into_iter().find(|one| one["target"] == target && one["state"] == state)
}

#[tokio::test]
async fn an_alert_is_acted_upon_once_although_the_daemon_is_killed_and_alertmanager_repeats() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let am = Alertmanager::start(directory.path(), &config(port)).await;
    let mut orders = Orders::new(&directory.path().join("data"), port, RULES);
    // Killed between accepting and acting: just before the first decision is recorded.
    orders.death = Some(Death { stream: Stream::Decisions.number(), at: 1, after: false });
    let mut first = daemon::spawn(CHILD, &orders).await;
    am.post(&json!([alert("GpuXidCritical", "n1", false)])).await;
    first.died().await;
    orders.death = None;
    let mut second = daemon::spawn(CHILD, &orders).await;
    let url = second.url.clone();
    let acted = until("the alert is remediated after the restart", || async {
        let all = incidents(&url).await;
        all.into_iter().find(|one| one["last_end"] == "succeeded")
    })
    .await;
    assert_eq!(acted["target"], "node/n1");
    until("Alertmanager repeats", || async {
        (metric(&url, "medevac_events_total", &["alertmanager"]).await >= 2.0).then_some(())
    })
    .await;
    let all = incidents(&url).await;
    assert_eq!(all.len(), 1, "repeats open nothing new: {all:#?}");
    assert_eq!(all[0]["plans"].as_array().unwrap().len(), 1);
    // Retrying: nobody listens while the next alert fires.
    second.kill();
    am.post(&json!([alert("GpuXidCritical", "n2", false)])).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let third = daemon::spawn(CHILD, &orders).await;
    until("the alert that met nobody comes again", || with_state(&third.url, "node/n2", "open"))
        .await;
    am.post(&json!([alert("GpuXidCritical", "n1", true), alert("GpuXidCritical", "n2", true)]))
        .await;
    until("the resolution closes it", || with_state(&url, "node/n1", "resolved")).await;
    until("and the other", || with_state(&url, "node/n2", "resolved")).await;
    assert_eq!(incidents(&url).await.len(), 2);
}

#[tokio::test]
async fn what_a_truncated_body_hides_is_opened_and_closed_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let am = Alertmanager::start(directory.path(), &config(port)).await;
    let mut orders = Orders::new(&directory.path().join("data"), port, RULES);
    orders.alertmanager = Some(am.url.clone());
    let daemon = daemon::start(&orders, daemon::Door::default()).await;
    let url = daemon.url.clone();
    let names: Vec<String> = (0..12).map(|n| format!("hidden-{n:02}")).collect();
    let all =
        |over: bool| names.iter().map(|name| alert("ManyPods", name, over)).collect::<Vec<_>>();
    am.post(&json!(all(false))).await;
    until("all twelve are known although a body carries five", || async {
        (incidents(&url).await.iter().filter(|one| one["state"] == "open").count() == 12)
            .then_some(())
    })
    .await;
    // All but one end. What is cut from the next body must not stay open, and what fires must not be closed.
    let mut over = all(true);
    let last = over.pop().unwrap();
    am.post(&json!(over)).await;
    am.post(&json!([alert("ManyPods", "hidden-11", false)])).await;
    until("eleven are over", || async {
        (incidents(&url).await.iter().filter(|one| one["state"] == "resolved").count() == 11)
            .then_some(())
    })
    .await;
    assert!(with_state(&url, "node/hidden-11", "open").await.is_some(), "one still fires: {last}");
}
