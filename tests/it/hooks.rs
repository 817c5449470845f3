//! Hooks of Auto Scaling groups and objects in S3: what AWS answers, and a machine that a group gives up.

use crate::support::{
    daemon::{self, Door, Orders},
    groups::Groups,
    incidents,
    moto::{self, Moto},
    until,
};
use medevac::model::{Answer, CloudCall, Hook, HookResult, Id, Refusal};
use serde_json::json;
use std::time::Duration;

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - name: scale-in
    when: aws.autoscaling.lifecycle
    if: has(cloud.hook)
    deadline: 10m
    then: [{cordon: {autoscalers: true}}, {drain: {}}, {complete_lifecycle_action: {}}]
    escalate: p
"#;

fn hook(instance: &str) -> Hook {
    Hook {
        group: "gpu".into(),
        name: "empties".into(),
        instance: instance.into(),
        token: "0befcbdb-6ecd-498a-9ff7-ae9b54447cd6".into(),
        patience: None,
    }
}

fn complete(instance: &str) -> CloudCall {
    CloudCall::CompleteHook { hook: hook(instance), result: HookResult::Continue }
}

#[tokio::test]
async fn what_auto_scaling_answers_is_understood() {
    let groups = Groups::start(90).await;
    let cloud = moto::cloud(&groups.url).await;
    groups.waits_for("i-1");
    assert_eq!(cloud.call(CloudCall::Heartbeat { hook: hook("i-1") }).await, Answer::Done);
    groups.throttles(1);
    assert_eq!(cloud.call(complete("i-1")).await, Answer::Done, "asked again by itself");
    for call in [complete("i-1"), CloudCall::Heartbeat { hook: hook("i-1") }] {
        assert_eq!(cloud.call(call).await, Answer::Refused(Refusal::Gone), "it has gone on");
    }
    groups.throttles(9);
    let busy = cloud.call(complete("i-1")).await;
    assert!(matches!(&busy, Answer::Refused(Refusal::Busy { .. })), "{busy:?}");
    groups.throttles(0);
    groups.denies(true);
    let Answer::Refused(Refusal::Forbidden(why)) = cloud.call(complete("i-1")).await else {
        panic!()
    };
    assert!(why.contains("the role needs autoscaling:CompleteLifecycleAction"), "{why}");
    groups.denies(false);
    groups.speaks_gibberish(true);
    let odd = cloud.call(complete("i-1")).await;
    assert!(matches!(&odd, Answer::Unknown(_)), "{odd:?}");
}

#[tokio::test]
async fn a_hooks_patience_is_asked_for_once_and_nobody_waits_for_it_in_vain() {
    let groups = Groups::start(90).await;
    let cloud = moto::cloud(&groups.url).await;
    for _ in 0..2 {
        assert_eq!(cloud.patience("gpu", "empties").await, Some(Duration::from_secs(90)));
    }
    assert_eq!(groups.asked(), ["DescribeLifecycleHooks"]);
    groups.denies(true);
    assert_eq!(cloud.patience("gpu", "other").await, None);
}

#[tokio::test]
async fn an_object_tells_when_it_was_written() {
    let moto = Moto::start().await;
    let s3 = moto.bucket("checkpoints").await;
    let cloud = moto::cloud(&moto.url).await;
    let changed = |bucket: &str, key: &str| {
        cloud.call(CloudCall::ObjectChanged { bucket: bucket.into(), key: key.into() })
    };
    assert_eq!(changed("checkpoints", "llm/last").await, Answer::Refused(Refusal::Gone));
    assert_eq!(changed("checkpoints", "llm/").await, Answer::Refused(Refusal::Gone));
    let before = jiff::Timestamp::now().as_second();
    for key in ["llm/1", "llm/last"] {
        s3.put_object()
            .bucket("checkpoints")
            .key(key)
            .body(b"w".to_vec().into())
            .send()
            .await
            .unwrap();
    }
    for key in ["llm/last", "llm/"] {
        let Answer::Said(at) = changed("checkpoints", key).await else { panic!("{key}") };
        let at: i64 = at.parse().unwrap();
        assert!((before..=before + 60).contains(&at), "{key}: {at}, {before}");
    }
    let nowhere = changed("elsewhere", "llm/").await;
    assert!(matches!(&nowhere, Answer::Refused(Refusal::Invalid(_))), "{nowhere:?}");
}

#[tokio::test]
async fn a_machine_that_its_group_gives_up_is_emptied_and_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let (moto, groups) = (Moto::start().await, Groups::start(30).await);
    let queue = moto.queue("hooks").await;
    let mut orders = Orders::new(directory.path(), 0, RULES);
    orders.queues = vec![(moto.url.clone(), queue.url.clone())];
    orders.aws = Some(groups.url.clone());
    let daemon = daemon::start(&orders, Door::default()).await;
    let instance = format!("i-{}", Id::of(&["instance", "n2"]).short(17));
    groups.waits_for(&instance);
    let action = json!({
        "LifecycleHookName": "empties", "AccountId": "123456789012", "RequestId": "1", "Service": "AWS Auto Scaling",
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", "AutoScalingGroupName": "gpu",
        "Time": jiff::Timestamp::now(), "EC2InstanceId": instance, "LifecycleActionToken": "t",
    });
    let wrapped = json!({ "Type": "Notification", "Message": action.to_string() });
    for body in [action, wrapped] {
        queue.send(&body.to_string()).await;
    }
    let all = until("the remediation has ended", || async {
        let all = incidents(&daemon.url).await;
        all.iter().any(|one| !one["last_end"].is_null()).then_some(all)
    })
    .await;
    assert_eq!(all.len(), 1, "twice the same: {all:#?}");
    assert_eq!(all[0]["last_end"], "succeeded");
    let asked = groups.asked();
    let completed: Vec<&String> = asked.iter().filter(|it| it.starts_with("Complete")).collect();
    assert_eq!(completed, [&format!("CompleteLifecycleAction {instance} CONTINUE")]);
}
