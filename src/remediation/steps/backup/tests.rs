//! Backups against tools that are written by hand: every phase, every state, every refusal.

use super::aws::{self, judge_job, judge_point};
use super::velero::{self, judge};
use super::*;
use crate::model::{
    AwsBackup, CloudCall, ClusterCall, Id, Question, Refusal, RequireBackup, Resource, Snapshot,
    Sought, Span, Standing, Tool, Vault, VeleroBackup, Volumes,
};
use crate::remediation::fixture::{plan, step};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const T0: Timestamp = Timestamp::UNIX_EPOCH;

fn at(seconds: u64) -> Timestamp {
    T0 + Duration::from_secs(seconds)
}

fn machine(action: Action) -> Box<dyn Asking> {
    let step = step("backup", action, &[]);
    start(&plan(vec![step.clone()]), &step, T0).unwrap()
}

/// Plays a machine against `world` until it has come to an end: how, after how many seconds, and all that was asked.
fn play(
    mut machine: Box<dyn Asking>,
    mut world: impl FnMut(&Work, u64) -> Answer,
) -> (Status, u64, Vec<Work>) {
    let (mut now, mut asked) = (0, vec![]);
    for _ in 0..10_000 {
        let work = machine.poll(at(now));
        for (tag, work) in &work {
            assert!(machine.busy());
            machine.answer(tag, world(work, now), at(now));
        }
        asked.extend(work.into_iter().map(|(_, work)| work));
        match machine.status(at(now)) {
            Status::Working => {
                let wake = machine.wake_at().expect("it waits for something");
                let wake = u64::try_from(wake.as_second()).unwrap();
                now = wake.max(now);
            }
            status => return (status, now, asked),
        }
    }
    panic!("it never ends: {machine:?}");
}

fn said(value: Value) -> Answer {
    Answer::Said(value.to_string())
}

fn of_velero() -> VeleroBackup {
    VeleroBackup {
        namespaces: vec!["training".into()],
        labels: BTreeMap::new(),
        storage_location: None,
        volumes: Volumes::Snapshot,
        expect_volumes: None,
        ttl: Span::seconds(30 * 86_400),
        velero_namespace: "velero".into(),
        timeout: Span::seconds(3600),
    }
}

fn location(name: &str, phase: &str, mode: &str) -> Value {
    json!({ "metadata": {"name": name}, "spec": {"default": name == "default", "accessMode": mode},
        "status": {"phase": phase, "message": "no such bucket"} })
}

#[test]
fn each_of_the_phases_is_what_it_is() {
    let of = |status: Value| judge(&status, None);
    let running = |phase: &str| matches!(of(json!({"phase": phase})), velero::Judged::Running(_));
    assert!(matches!(of(json!({})), velero::Judged::Running(_)), "no phase yet");
    for phase in [
        "New",
        "Queued",
        "ReadyToStart",
        "InProgress",
        "WaitingForPluginOperations",
        "WaitingForPluginOperationsPartiallyFailed",
        "Finalizing",
        "FinalizingPartiallyFailed",
        "SomethingOfAFutureVelero",
    ] {
        assert!(running(phase), "{phase}");
    }
    let full = json!({"phase": "Completed", "progress": {"itemsBackedUp": 12}});
    assert!(matches!(of(full.clone()), velero::Judged::Good(_)));
    for phase in ["PartiallyFailed", "FailedValidation", "Failed", "Deleting"] {
        assert!(matches!(of(json!({"phase": phase})), velero::Judged::Bad(_)), "{phase}");
    }
    let restarted = json!({"phase": "Failed", "failureReason": "found a backup with status \"InProgress\" during the server starting, mark it as \"Failed\""});
    assert!(matches!(of(restarted), velero::Judged::Interrupted(_)));
}

#[test]
fn completed_is_not_good_where_something_is_missing() {
    let with = |key: &str, value: Value, expect: Option<u32>| {
        let mut status = json!({"phase": "Completed", "progress": {"itemsBackedUp": 12}});
        *status.as_object_mut().unwrap().entry(key).or_insert(Value::Null) = value;
        match judge(&status, expect) {
            velero::Judged::Bad(why) => why,
            other => format!("{other:?}"),
        }
    };
    for (key, value, wanted) in [
        ("errors", json!(1), "1 items failed"),
        ("volumeSnapshotsAttempted", json!(2), "0 of 2 volume snapshots"),
        ("csiVolumeSnapshotsAttempted", json!(3), "0 of 3 CSI snapshots"),
        ("backupItemOperationsFailed", json!(1), "1 item operations failed"),
        ("hookStatus", json!({"hooksAttempted": 2, "hooksFailed": 1}), "1 hooks failed"),
        ("progress", json!({"itemsBackedUp": 0}), "nothing in it"),
    ] {
        let why = with(key, value, None);
        assert!(why.contains(wanted), "{key}: {why}");
    }
    assert!(with("warnings", json!(3), Some(2)).contains("0 of 2 volumes that are expected"));
    assert!(with("csiVolumeSnapshotsCompleted", json!(2), Some(2)).starts_with("Good"));
}

#[test]
fn a_velero_backup_is_made_once_under_its_own_name_and_verified() {
    let mut made: Option<String> = None;
    let mut world = |work: &Work, now: u64| match work {
        Work::Ask(Question::Many { what: Resource::BACKUP_LOCATION, namespace, .. }) => {
            assert_eq!(namespace.as_deref(), Some("velero"));
            said(json!([location("default", "Available", "ReadWrite")]))
        }
        Work::Cluster(ClusterCall::Make(object)) => {
            assert_eq!(object.body["spec"]["includedNamespaces"], json!(["training"]));
            assert_eq!(object.body["spec"]["ttl"], "720h0m0s");
            assert_eq!(object.labels["medevac.dev/incident"], "inc-1");
            let taken = made.replace(object.name.clone()).is_some();
            if taken { Answer::Refused(Refusal::Changed("it exists".into())) } else { Answer::Done }
        }
        Work::Ask(Question::One { what: Resource::BACKUP, name, .. }) => {
            assert_eq!(Some(name), made.as_ref());
            let done = json!({"phase": "Completed", "progress": {"itemsBackedUp": 9}});
            said(json!({"status": if now < 60 { json!({"phase": "InProgress"}) } else { done }}))
        }
        other => panic!("{other:?}"),
    };
    let (status, took, asked) =
        play(machine(Action::VeleroBackup(Box::new(of_velero()))), &mut world);
    let Status::Done(note) = status else { panic!("{status:?}") };
    assert!(note.starts_with("medevac-") && note.ends_with("9 items, 0 volumes"), "{note}");
    assert!((60..150).contains(&took) && asked.len() < 10, "{took} s, {} questions", asked.len());
    // Another life finds it made.
    let (status, ..) = play(machine(Action::VeleroBackup(Box::new(of_velero()))), &mut world);
    assert!(matches!(status, Status::Done(_)));
}

#[test]
fn a_location_that_keeps_nothing_is_told_before_anything_is_made() {
    let with = |locations: Value, named: Option<&str>| {
        let of = VeleroBackup { storage_location: named.map(str::to_owned), ..of_velero() };
        let world = |work: &Work, _| match work {
            Work::Ask(Question::Many { .. }) => said(locations.clone()),
            other => panic!("{other:?}"),
        };
        match play(machine(Action::VeleroBackup(Box::new(of))), world).0 {
            Status::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(with(json!([]), None).contains("no storage location"));
    let away = json!([location("default", "Unavailable", "ReadWrite")]);
    assert!(with(away, None).contains("is Unavailable: no such bucket"));
    let closed = json!([location("default", "Available", "ReadOnly")]);
    assert!(with(closed.clone(), None).contains("read-only"));
    assert!(
        with(closed, Some("other")).contains("no storage location `other`; there are: default")
    );
    let two = json!([location("a", "Available", ""), location("b", "Available", "")]);
    assert!(with(two, None).contains("name one of: a, b"));
}

#[test]
fn a_server_that_was_started_anew_is_asked_again_under_another_name() {
    let mut names = vec![];
    let world = |work: &Work, _| match work {
        Work::Ask(Question::Many { .. }) => said(json!([location("default", "Available", "")])),
        Work::Cluster(ClusterCall::Make(object)) => {
            names.push(object.name.clone());
            Answer::Done
        }
        _ => said(
            json!({"status": {"phase": "Failed", "failureReason": "found a backup with status \"InProgress\" during the server starting"}}),
        ),
    };
    let (status, ..) = play(machine(Action::VeleroBackup(Box::new(of_velero()))), world);
    assert!(matches!(status, Status::Failed(why) if why.contains("during the server starting")));
    assert_eq!(names.len(), 3);
    assert!(names[1] == format!("{}-2", names[0]) && names[2] == format!("{}-3", names[0]));
}

#[test]
fn what_velero_never_ends_with_is_given_up_with_what_it_said_last() {
    let world = |work: &Work, _| match work {
        Work::Ask(Question::Many { .. }) => said(json!([location("default", "Available", "")])),
        Work::Cluster(_) => Answer::Done,
        _ => said(json!({"status": {"phase": "Queued", "queuePosition": 4}})),
    };
    let (status, took, asked) = play(machine(Action::VeleroBackup(Box::new(of_velero()))), world);
    assert!(matches!(status, Status::Failed(why) if why.contains("Queued, 4 before it")));
    assert_eq!(took, 3600);
    assert!(asked.len() < 80, "an hour of it takes {} questions", asked.len());
    let absent = |_: &Work, _| Answer::Refused(Refusal::Gone);
    let (status, ..) = play(machine(Action::VeleroBackup(Box::new(of_velero()))), absent);
    assert!(matches!(status, Status::Failed(why) if why.contains("not installed")));
    let forbidden =
        |_: &Work, _| Answer::Refused(Refusal::Forbidden("the right is missing".into()));
    let (status, ..) = play(machine(Action::VeleroBackup(Box::new(of_velero()))), forbidden);
    assert!(matches!(status, Status::Failed(why) if why.contains("right is missing")));
}

#[test]
fn each_of_the_states_of_aws_is_what_it_is() {
    use aws::Judged::{Bad, Good, Running};
    for (state, job, point) in [
        ("CREATED", Running, Running),
        ("PENDING", Running, Running),
        ("RUNNING", Running, Running),
        ("ABORTING", Running, Running),
        ("COMPLETED", Good, Good),
        ("PARTIAL", Bad, Bad),
        ("FAILED", Bad, Running),
        ("ABORTED", Bad, Running),
        ("EXPIRED", Bad, Bad),
        ("AVAILABLE", Running, Good),
        ("CREATING", Running, Running),
        ("STOPPED", Running, Bad),
        ("DELETING", Running, Bad),
    ] {
        assert_eq!(judge_job(state), job, "{state}");
        assert_eq!(judge_point(state), point, "{state}");
    }
}

fn of_aws(resources: &[&str]) -> Action {
    Action::AwsBackup(Box::new(AwsBackup {
        vault: Vault { vault: Some("v".into()), role: None },
        sought: Sought {
            resources: resources.iter().map(|it| (*it).to_owned()).collect(),
            ..Sought::default()
        },
        delete_after_days: Some(30),
        start_within: Span::seconds(3600),
        complete_within: Span::seconds(7200),
        timeout: Span::seconds(12 * 3600),
    }))
}

fn standing(id: &str, state: &str, message: &str) -> Answer {
    let point = (state == "COMPLETED").then(|| format!("arn:aws:backup:r:1:recovery-point:{id}"));
    let (id, state) = (id.to_owned(), state.to_owned());
    let message = message.to_owned();
    let of = Standing { id, state, message, recovery_point: point, made_at: None };
    Answer::Said(serde_json::to_string(&of).unwrap())
}

#[test]
fn a_job_is_begun_with_a_token_and_its_recovery_point_is_looked_at() {
    let mut tokens = vec![];
    let mut world = |work: &Work, now: u64| match work {
        Work::Cloud(CloudCall::StartBackup { token, resource, .. }) => {
            tokens.push(token.clone());
            standing(&format!("job-{resource}"), "", "")
        }
        Work::Cloud(CloudCall::BackupJob { id }) => {
            standing(id, if now < 600 { "RUNNING" } else { "COMPLETED" }, "")
        }
        Work::Cloud(CloudCall::RecoveryPoint { arn, .. }) => {
            standing(arn, if now < 700 { "CREATING" } else { "AVAILABLE" }, "")
        }
        other => panic!("{other:?}"),
    };
    let (status, took, _) = play(machine(of_aws(&["vol-1", "fs-2"])), &mut world);
    let Status::Done(note) = status else { panic!("{status:?}") };
    assert!(note.contains("vol-1 as job-vol-1") && note.contains("fs-2 as job-fs-2"), "{note}");
    assert!((700..900).contains(&took), "{took}");
    // Another life asks with the same tokens.
    play(machine(of_aws(&["vol-1", "fs-2"])), &mut world);
    assert_eq!(tokens.len(), 4);
    assert!(tokens[0] != tokens[1] && tokens[..2] == tokens[2..]);
}

#[test]
fn a_job_that_is_there_already_is_joined_whenever_aws_says_so() {
    for at_once in [true, false] {
        let mut started = 0;
        let world = |work: &Work, _| match work {
            Work::Cloud(CloudCall::StartBackup { .. }) if at_once => {
                Answer::Refused(Refusal::Changed("a running job for the same resource".into()))
            }
            Work::Cloud(CloudCall::StartBackup { .. }) => {
                started += 1;
                standing("mine", "", "")
            }
            Work::Cloud(CloudCall::RunningBackup { .. }) => standing("theirs", "", ""),
            Work::Cloud(CloudCall::BackupJob { id }) if id == "mine" => standing(
                "mine",
                "FAILED",
                "Backup job failed because there was a running job for the same resource.",
            ),
            Work::Cloud(CloudCall::BackupJob { .. }) => standing("theirs", "COMPLETED", ""),
            Work::Cloud(CloudCall::RecoveryPoint { .. }) => standing("p", "COMPLETED", ""),
            other => panic!("{other:?}"),
        };
        let (status, ..) = play(machine(of_aws(&["vol-1"])), world);
        assert!(
            matches!(&status, Status::Done(note) if note.contains("of a job that was there")),
            "{status:?}"
        );
        assert!(started <= 1);
    }
}

#[test]
fn what_has_failed_is_told_with_the_rest_and_what_is_refused_at_once() {
    let world = |work: &Work, _| match work {
        Work::Cloud(CloudCall::StartBackup { resource, .. }) => {
            standing(&resource.to_string(), "", "")
        }
        Work::Cloud(CloudCall::BackupJob { id }) if id == "vol-2" => {
            standing(id, "EXPIRED", "it did not begin within its window")
        }
        Work::Cloud(CloudCall::BackupJob { id }) => standing(id, "COMPLETED", ""),
        _ => standing("p", "AVAILABLE", ""),
    };
    let (status, ..) = play(machine(of_aws(&["vol-1", "vol-2"])), world);
    let Status::Failed(why) = status else { panic!("{status:?}") };
    assert_eq!(why, "vol-2: EXPIRED: it did not begin within its window");
    let throttled = std::cell::Cell::new(3_u32);
    let world = |work: &Work, now| match work {
        _ if throttled.replace(throttled.get().saturating_sub(1)) > 0 => {
            Answer::Refused(Refusal::Busy { retry_after: None, message: "Throttling".into() })
        }
        Work::Cloud(CloudCall::StartBackup { .. }) => standing("j", "", ""),
        Work::Cloud(CloudCall::BackupJob { .. }) => standing("j", "COMPLETED", ""),
        _ => {
            assert!(now > 10, "after pauses");
            standing("p", "AVAILABLE", "")
        }
    };
    let (status, ..) = play(machine(of_aws(&["vol-1"])), world);
    assert!(matches!(status, Status::Done(_)), "throttling is no failure: {status:?}");
    let world = |_: &Work, _| Answer::Refused(Refusal::Gone);
    let (status, ..) = play(machine(of_aws(&["vol-1"])), world);
    assert!(matches!(status, Status::Failed(why) if why.contains("the vault `v`")));
}

/// Claims `training/data-0` and `training/data-1`, and a tag.
fn claims(work: &Work) -> Answer {
    let claim = |name: &str| json!({"metadata": {"name": name}, "spec": {"volumeName": format!("pv-{name}")}, "status": {"phase": "Bound"}});
    match work {
        Work::Ask(Question::Many { what: Resource::CLAIM, .. }) => said(json!([
            claim("data-0"), claim("data-1"),
            {"metadata": {"name": "new"}, "spec": {}, "status": {"phase": "Pending"}},
        ])),
        Work::Ask(Question::One { what: Resource::CLAIM, name, .. }) if name == "data-0" => {
            said(claim("data-0"))
        }
        Work::Ask(Question::One { what: Resource::VOLUME, name, .. }) => {
            let handle = format!("vol-{name}");
            said(json!({"spec": {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": handle}}}))
        }
        Work::Cloud(CloudCall::Tagged { .. }) => {
            said(json!(["arn:aws:ec2:eu-west-1:1:volume/vol-tagged"]))
        }
        _ => Answer::Refused(Refusal::Gone),
    }
}

fn of_snapshot(sought: Sought, wait: bool) -> Action {
    Action::Snapshot(Box::new(Snapshot { sought, wait, timeout: Span::seconds(600) }))
}

#[test]
fn snapshots_are_of_what_stands_behind_claims_and_tags_each_once() {
    let sought = Sought {
        claims: vec!["training/data-0".into()],
        namespaces: vec!["training".into()],
        tags: BTreeMap::from([("backup".into(), "yes".into())]),
        ..Sought::default()
    };
    let mut taken = vec![];
    let world = |work: &Work, _: u64| match work {
        Work::Cloud(CloudCall::TakeSnapshot { volume, key, .. }) => {
            taken.push((volume.clone(), key.clone()));
            standing(&format!("snap-{volume}"), "pending", "0%")
        }
        other => claims(other),
    };
    let (status, took, _) = play(machine(of_snapshot(sought, false)), world);
    let Status::Done(note) = status else { panic!("{status:?}") };
    assert!(note.contains("snap-vol-tagged of vol-tagged"), "{note}");
    assert_eq!(took, 0, "what it holds is what the volume held then");
    let volumes: Vec<&str> = taken.iter().map(|(volume, _)| volume.as_str()).collect();
    assert_eq!(volumes, ["vol-pv-data-0", "vol-pv-data-1", "vol-tagged"]);
}

#[test]
fn a_snapshot_that_is_waited_for_is_watched_and_one_that_fails_is_told() {
    let named = || Sought { resources: vec!["vol-1".into()], ..Sought::default() };
    for (last, good) in [("completed", true), ("error", false), ("recoverable", false)] {
        let world = |work: &Work, now: u64| match work {
            Work::Cloud(CloudCall::TakeSnapshot { .. }) => standing("snap-1", "pending", "0%"),
            Work::Cloud(CloudCall::SnapshotState { id }) => {
                standing(id, if now < 100 { "pending" } else { last }, "")
            }
            other => panic!("{other:?}"),
        };
        let (status, took, _) = play(machine(of_snapshot(named(), true)), world);
        assert_eq!(matches!(status, Status::Done(_)), good, "{status:?}");
        assert!(took >= 100);
    }
    let sought = Sought { claims: vec!["training/none".into()], ..Sought::default() };
    let (status, ..) = play(machine(of_snapshot(sought, false)), |work: &Work, _| claims(work));
    assert!(matches!(status, Status::Failed(why) if why.contains("no claim `none`")));
    let sought = Sought { resources: vec!["fs-1".into()], ..Sought::default() };
    let (status, ..) = play(machine(of_snapshot(sought, false)), |work: &Work, _| claims(work));
    assert!(matches!(status, Status::Failed(why) if why.contains("no volume")));
}

fn of_require(of: Tool, namespaces: &[&str]) -> Action {
    let namespaces = namespaces.iter().map(|it| (*it).to_owned()).collect();
    Action::RequireBackup(Box::new(RequireBackup {
        newer_than: Span::seconds(3600),
        of,
        sought: Sought { namespaces, ..Sought::default() },
        labels: BTreeMap::new(),
        vault: Vault::default(),
        velero_namespace: "velero".into(),
        timeout: Span::seconds(120),
    }))
}

#[test]
fn a_backup_counts_that_is_good_fresh_and_has_it_all() {
    let backup = |name: &str, age: i64, spec: Value, phase: &str| {
        let done = T0 - jiff::SignedDuration::from_secs(age);
        json!({"metadata": {"name": name}, "spec": spec, "status": {"phase": phase,
            "completionTimestamp": done.to_string(), "progress": {"itemsBackedUp": 3}}})
    };
    let all = json!({});
    let asked = |namespaces: &[&str], backups: Value| {
        let world = |_: &Work, _| said(backups.clone());
        play(machine(of_require(Tool::Velero, namespaces)), world).0
    };
    let good = |status: Status| matches!(status, Status::Done(_));
    assert!(good(asked(&[], json!([backup("b", 60, all.clone(), "Completed")]))));
    assert!(good(asked(
        &["a"],
        json!([backup("b", 60, json!({"includedNamespaces": ["a", "c"]}), "Completed")])
    )));
    assert!(good(asked(
        &["a"],
        json!([backup("b", 60, json!({"includedNamespaces": ["*"]}), "Completed")])
    )));
    for (what, namespaces, backups) in [
        ("none", vec![], json!([])),
        ("old", vec![], json!([backup("b", 3700, all.clone(), "Completed")])),
        ("bad", vec![], json!([backup("b", 60, all.clone(), "PartiallyFailed")])),
        (
            "of another",
            vec!["a"],
            json!([backup("b", 60, json!({"includedNamespaces": ["c"]}), "Completed")]),
        ),
        (
            "without it",
            vec!["a"],
            json!([backup("b", 60, json!({"excludedNamespaces": ["a"]}), "Completed")]),
        ),
        (
            "of a part",
            vec![],
            json!([backup("b", 60, json!({"includedNamespaces": ["a"]}), "Completed")]),
        ),
        (
            "of labels",
            vec!["a"],
            json!([backup(
                "b",
                60,
                json!({"includedNamespaces": ["a"], "labelSelector": {"matchLabels": {"x": "y"}}}),
                "Completed"
            )]),
        ),
    ] {
        assert!(!good(asked(&namespaces, backups)), "{what}");
    }
    let old = asked(&[], json!([backup("b", 3 * 3600, all, "Completed")]));
    assert_eq!(
        old,
        Status::Failed("the newest good backup of everything is 3h old, and 1h are allowed".into())
    );
}

#[test]
fn recovery_points_and_snapshots_count_for_each_of_the_volumes() {
    for (tool, state, good) in [
        (Tool::Aws, "COMPLETED", true),
        (Tool::Aws, "PARTIAL", false),
        (Tool::Snapshot, "completed", true),
        (Tool::Snapshot, "pending", false),
    ] {
        let mut asked = 0;
        let world = |work: &Work, _: u64| match work {
            Work::Cloud(
                CloudCall::NewestRecoveryPoint { .. } | CloudCall::NewestSnapshot { .. },
            ) => {
                asked += 1;
                let made_at = Some(T0 - jiff::SignedDuration::from_secs(60));
                let of = Standing {
                    id: "p".into(),
                    state: state.into(),
                    made_at,
                    ..Standing::default()
                };
                Answer::Said(serde_json::to_string(&of).unwrap())
            }
            other => claims(other),
        };
        let (status, ..) = play(machine(of_require(tool, &["training"])), world);
        assert_eq!(matches!(status, Status::Done(_)), good, "{tool:?} {state}: {status:?}");
        assert_eq!(asked, if good { 2 } else { 1 });
    }
    let none = |work: &Work, _: u64| match work {
        Work::Cloud(_) => Answer::Refused(Refusal::Gone),
        other => claims(other),
    };
    let (status, ..) = play(machine(of_require(Tool::Aws, &["training"])), none);
    assert!(
        matches!(status, Status::Failed(why) if why.contains("AWS Backup has no good backup of vol-pv-data-0"))
    );
}

#[test]
fn the_same_step_has_the_same_name_for_ever() {
    let action = Action::VeleroBackup(Box::new(of_velero()));
    let first = step("backup", action.clone(), &[]);
    let plan = plan(vec![first.clone()]);
    let name = |now| {
        let mut machine = velero::Velero::new(&plan, &first.key, &of_velero(), at(99_999), now);
        machine.poll(now);
        machine.answer("", said(json!([location("default", "Available", "")])), now);
        match machine.poll(now).remove(0).1 {
            Work::Cluster(ClusterCall::Make(made)) => made.name,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(name(at(0)), name(at(5000)));
    assert!(name(at(0)).contains(Id::of(&["backup"]).short(16)));
}
