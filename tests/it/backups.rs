//! AWS Backup, snapshots and tags: what AWS answers to the daemon's own client.

use crate::support::{
    moto::{self, Moto},
    vault::Vaults,
};
use medevac::adapters::aws::Cloud;
use medevac::model::{
    Action, Answer, AwsBackup, CloudCall, Entry, Id, Look, Plan, PlannedStep, Protected, Reach,
    Refusal, Sought, Span, Standing, Target, Vault,
};
use medevac::remediation::{Journal, Saga, Work};
use serde_json::json;
use std::collections::BTreeMap;

const ROLE: &str = "arn:aws:iam::123456789012:role/backup";

fn vault() -> Vault {
    Vault { vault: Some("v".into()), role: Some(ROLE.into()) }
}

fn volume(id: &str) -> Protected {
    Protected::Volume(id.into())
}

fn begin(id: &str, token: &str) -> CloudCall {
    CloudCall::StartBackup {
        vault: Vault::default(),
        resource: volume(id),
        token: token.into(),
        start_within: Span::seconds(3600),
        complete_within: Span::seconds(7200),
        delete_after_days: Some(30),
        tags: vec![("medevac.dev/incident".into(), "inc-1".into())],
    }
}

async fn said(cloud: &Cloud, call: CloudCall) -> Standing {
    match cloud.call(call).await {
        Answer::Said(said) => serde_json::from_str(&said).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_job_is_begun_once_and_followed_through_its_states() {
    let vaults = Vaults::start().await;
    vaults.walks(&["CREATED", "PENDING", "RUNNING", "COMPLETED"], "");
    let cloud = moto::cloud(&vaults.url).await.with_backup(vault());
    let first = said(&cloud, begin("vol-1", "t-1")).await;
    let again = said(&cloud, begin("vol-1", "t-1")).await;
    assert_eq!((first.id.as_str(), again.id.as_str()), ("job-1", "job-1"));
    let request = &vaults.requests()[0];
    assert_eq!(request["ResourceArn"], "arn:aws:ec2:eu-west-1:123456789012:volume/vol-1");
    assert_eq!(request["IamRoleArn"], ROLE);
    assert_eq!(request["StartWindowMinutes"], 60);
    assert_eq!(request["Lifecycle"]["DeleteAfterDays"], 30);
    assert_eq!(request["RecoveryPointTags"]["medevac.dev/incident"], "inc-1");
    let joined =
        said(&cloud, CloudCall::RunningBackup { vault: vault(), resource: volume("vol-1") }).await;
    assert_eq!(joined.id, "job-1");
    let mut states = vec![];
    let last = loop {
        let job = said(&cloud, CloudCall::BackupJob { id: "job-1".into() }).await;
        states.push(job.state.clone());
        if job.state == "COMPLETED" {
            break job;
        }
    };
    assert_eq!(states, ["CREATED", "PENDING", "RUNNING", "COMPLETED"]);
    let arn = last.recovery_point.unwrap();
    let point = said(&cloud, CloudCall::RecoveryPoint { vault: vault(), arn }).await;
    assert_eq!(point.state, "COMPLETED");
    let none = CloudCall::RunningBackup { vault: vault(), resource: volume("vol-1") };
    assert_eq!(cloud.call(none).await, Answer::Refused(Refusal::Gone), "none runs any more");
}

/// A plan with nothing but this step.
fn plan(action: Action) -> Plan {
    let target = Target::Other { kind: "schedule".into(), name: "nightly".into() };
    let step = PlannedStep {
        name: "backup".into(),
        key: Id::of(&["backup"]),
        action,
        reach: Reach::World,
        needs: vec![],
        no_return: false,
    };
    let at = jiff::Timestamp::UNIX_EPOCH;
    let plan = json!({
        "id": Id::of(&["plan"]), "incident": "inc-1", "epoch": 1, "rule": "r", "target": target, "mode": "enforce",
        "deadline": null, "reserve": "0s", "steps": [step], "otherwise": [], "doomed": false, "made_at": at, "caused_at": at,
    });
    serde_json::from_value(plan).unwrap()
}

/// Carries the step out against that cloud, an hour in no time, and says how it ended.
async fn carried_out(cloud: &Cloud, action: Action) -> String {
    let plan = plan(action);
    let mut saga = Saga::new(plan.clone(), Journal::new(&plan));
    let look = Look::default();
    let mut now = plan.made_at;
    loop {
        let entries = saga.advance(&look, now);
        for entry in &entries {
            saga.recorded(entry, &look, now).unwrap();
            match entry {
                Entry::Succeeded { note, .. } => return format!("succeeded: {note}"),
                Entry::Failed { why, .. } => return format!("failed: {why}"),
                _ => {}
            }
        }
        let calls = saga.calls(&look, now);
        if calls.is_empty() && entries.is_empty() {
            now = saga.wake_at(now).unwrap().max(now);
        }
        for call in calls {
            let Work::Cloud(asked) = call.work.clone() else { panic!("{call:?}") };
            saga.answer(&call, cloud.call(asked).await, now);
        }
    }
}

fn aws_backup() -> Action {
    let resources = vec!["arn:aws:ec2:eu-west-1:123456789012:volume/vol-1".to_owned()];
    Action::AwsBackup(Box::new(AwsBackup {
        vault: Vault::default(),
        sought: Sought { resources, ..Sought::default() },
        delete_after_days: Some(30),
        start_within: Span::seconds(3600),
        complete_within: Span::seconds(7200),
        timeout: Span::seconds(4 * 3600),
    }))
}

#[tokio::test]
async fn the_step_comes_to_what_the_job_and_its_recovery_point_come_to() {
    let good = ["CREATED", "PENDING", "RUNNING", "COMPLETED"];
    for (walk, message, point, wanted) in [
        (&good[..], "", "COMPLETED", "succeeded: "),
        (&good, "", "AVAILABLE", "succeeded: "),
        (&["RUNNING", "FAILED"], "no space", "COMPLETED", "failed: .*FAILED: no space"),
        (
            &["CREATED", "EXPIRED"],
            "the window has passed",
            "COMPLETED",
            "failed: .*EXPIRED: the window",
        ),
        (&["RUNNING", "ABORTING", "ABORTED"], "", "COMPLETED", "failed: .*ABORTED"),
        (&["RUNNING", "PARTIAL"], "", "COMPLETED", "failed: .*PARTIAL"),
        (&good, "", "PARTIAL", "failed: .*recovery point is PARTIAL"),
        (&good, "", "EXPIRED", "failed: .*recovery point is EXPIRED"),
        (&good, "", "DELETING", "failed: .*recovery point is DELETING"),
        (&["RUNNING"], "", "COMPLETED", "failed: .*RUNNING"),
    ] {
        let vaults = Vaults::start().await;
        vaults.walks(walk, message);
        vaults.point_is(point);
        let cloud = moto::cloud(&vaults.url).await.with_backup(vault());
        let how = carried_out(&cloud, aws_backup()).await;
        let wanted = regex_lite::Regex::new(&format!("^{wanted}")).unwrap();
        assert!(wanted.is_match(&how), "{walk:?}, {point}: {how}");
        assert_eq!(vaults.requests().len(), 1, "begun once: {:?}", vaults.asked());
    }
}

#[tokio::test]
async fn a_job_that_is_there_already_is_joined() {
    let vaults = Vaults::start().await;
    vaults.walks(&["RUNNING", "RUNNING", "RUNNING", "COMPLETED"], "");
    let cloud = moto::cloud(&vaults.url).await.with_backup(vault());
    said(&cloud, begin("vol-1", "of-somebody-else")).await;
    let how = carried_out(&cloud, aws_backup()).await;
    assert!(how.starts_with("succeeded: ") && how.contains("of a job that was there"), "{how}");
}

#[tokio::test]
async fn each_refusal_is_what_it_is() {
    let vaults = Vaults::start().await;
    let cloud = moto::cloud(&vaults.url).await.with_backup(vault());
    let absent = Vault { vault: Some("other".into()), role: Some(ROLE.into()) };
    let nowhere = moto::cloud(&vaults.url).await.with_backup(absent);
    assert_eq!(nowhere.call(begin("vol-1", "t")).await, Answer::Refused(Refusal::Gone));
    let unset = moto::cloud(&vaults.url).await;
    let Answer::Refused(Refusal::Invalid(why)) = unset.call(begin("vol-1", "t")).await else {
        panic!()
    };
    assert!(why.contains("aws.backup.vault"), "{why}");
    let mut short = begin("vol-1", "t");
    if let CloudCall::StartBackup { start_within, .. } = &mut short {
        *start_within = Span::seconds(600);
    }
    let refused = cloud.call(short).await;
    assert!(matches!(&refused, Answer::Refused(Refusal::Invalid(_))), "{refused:?}");
    assert!(vaults.requests().is_empty());
    vaults.throttles(1);
    said(&cloud, begin("vol-1", "t")).await;
    vaults.throttles(9);
    let busy = cloud.call(CloudCall::BackupJob { id: "job-1".into() }).await;
    assert!(matches!(&busy, Answer::Refused(Refusal::Busy { .. })), "{busy:?}");
    vaults.throttles(0);
    let unknown = cloud.call(CloudCall::BackupJob { id: "job-9".into() }).await;
    assert_eq!(unknown, Answer::Refused(Refusal::Gone));
    vaults.denies(true);
    let Answer::Refused(Refusal::Forbidden(why)) = cloud.call(begin("vol-2", "u")).await else {
        panic!()
    };
    assert!(why.contains("backup:StartBackupJob, and iam:PassRole"), "{why}");
    vaults.denies(false);
    vaults.speaks_gibberish(true);
    let odd = cloud.call(begin("vol-2", "u")).await;
    assert!(matches!(&odd, Answer::Unknown(_)), "{odd:?}");
}

#[tokio::test]
async fn the_newest_good_recovery_point_of_the_vault_is_found() {
    let vaults = Vaults::start().await;
    let cloud = moto::cloud(&vaults.url).await.with_backup(vault());
    let newest = |id: &str| {
        let resource = volume(id);
        cloud.call(CloudCall::NewestRecoveryPoint { vault: Vault::default(), resource })
    };
    assert_eq!(newest("vol-1").await, Answer::Refused(Refusal::Gone));
    said(&cloud, begin("vol-1", "t")).await;
    let Answer::Said(point) = newest("vol-1").await else { panic!() };
    let point: Standing = serde_json::from_str(&point).unwrap();
    assert_eq!(point.id, "arn:new");
    let age = jiff::Timestamp::now().duration_since(point.made_at.unwrap()).as_secs();
    assert!((600..660).contains(&age), "{age}");
}

#[tokio::test]
async fn a_snapshot_is_taken_once_however_often_it_is_asked_for() {
    let moto = Moto::start().await;
    let config = moto::config(&moto.url).await;
    let ec2 = aws_sdk_ec2::Client::new(&config);
    let tag = aws_sdk_ec2::types::Tag::builder().key("medevac.dev/backup").value("nightly").build();
    let tags = aws_sdk_ec2::types::TagSpecification::builder()
        .resource_type(aws_sdk_ec2::types::ResourceType::Volume)
        .tags(tag)
        .build();
    let made = ec2.create_volume().availability_zone("eu-west-1a").size(8);
    let made = made.tag_specifications(tags).send().await.unwrap();
    let volume = made.volume_id().unwrap().to_owned();
    let cloud = moto::cloud(&moto.url).await;
    let none = cloud.call(CloudCall::NewestSnapshot { volume: volume.clone() }).await;
    assert_eq!(none, Answer::Refused(Refusal::Gone));
    let take = |key: &str| CloudCall::TakeSnapshot {
        volume: volume.clone(),
        key: key.into(),
        tags: vec![("medevac.dev/rule".into(), "nightly".into())],
    };
    let first = said(&cloud, take("k-1")).await;
    assert_eq!(said(&cloud, take("k-1")).await.id, first.id);
    assert_ne!(said(&cloud, take("k-2")).await.id, first.id);
    let state = said(&cloud, CloudCall::SnapshotState { id: first.id.clone() }).await;
    assert_eq!((state.id.as_str(), state.state.as_str()), (first.id.as_str(), "completed"));
    let newest = said(&cloud, CloudCall::NewestSnapshot { volume: volume.clone() }).await;
    assert!(newest.made_at.is_some());
    let gone = cloud.call(CloudCall::SnapshotState { id: "snap-0123456789abcdef0".into() }).await;
    assert_eq!(gone, Answer::Refused(Refusal::Gone));
    let of = |value: &str| {
        let tags = BTreeMap::from([("medevac.dev/backup".to_owned(), value.to_owned())]);
        cloud.call(CloudCall::Tagged { tags })
    };
    let Answer::Said(found) = of("nightly").await else { panic!() };
    let found: Vec<String> = serde_json::from_str(&found).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(Protected::named(&found[0]).volume(), Some(volume.as_str()));
    assert_eq!(of("weekly").await, Answer::Said("[]".into()));
}
