//! What Velero says of a location and of a backup, and whether that is good.

use serde_json::Value;

/// What a look at a backup comes to.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Judged {
    Running(String),
    Good(String),
    Bad(String),
    /// The server was started anew while it worked on it.
    Interrupted(String),
}

/// Whether backups can be kept at the place that is meant. Since 1.17 one that cannot makes a backup fail its validation.
pub(super) fn location(said: &str, named: Option<&str>) -> Result<(), String> {
    let all: Vec<Value> = serde_json::from_str(said).unwrap_or_default();
    let is = |place: &&Value| match named {
        Some(named) => place["metadata"]["name"] == named,
        None => place["spec"]["default"] == true || all.len() == 1,
    };
    let Some(place) = all.iter().find(is) else {
        let names: Vec<&str> =
            all.iter().filter_map(|place| place["metadata"]["name"].as_str()).collect();
        return Err(match named {
            Some(named) => {
                format!("there is no storage location `{named}`; there are: {}", names.join(", "))
            }
            None if all.is_empty() => "Velero has no storage location".into(),
            None => {
                format!("no storage location is the default; name one of: {}", names.join(", "))
            }
        });
    };
    let name = place["metadata"]["name"].as_str().unwrap_or_default();
    if place["spec"]["accessMode"] == "ReadOnly" {
        return Err(format!("the storage location `{name}` is read-only"));
    }
    match place["status"]["phase"].as_str() {
        Some("Available") => Ok(()),
        phase => {
            let why = place["status"]["message"].as_str().unwrap_or("Velero does not say why");
            Err(format!(
                "the storage location `{name}` is {}: {why}",
                phase.unwrap_or("not looked at yet")
            ))
        }
    }
}

/// What a backup's status says, phase by phase.
pub(in super::super) fn judge(status: &Value, expect_volumes: Option<u32>) -> Judged {
    let number = |path: &str| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let text = |name: &str| status[name].as_str().unwrap_or_default();
    let phase = text("phase");
    match phase {
        "Completed" => match wanting(status, expect_volumes) {
            Some(why) => Judged::Bad(format!("Completed, and not good: {why}")),
            None => Judged::Good(format!(
                "{} items, {} volumes",
                number("/progress/itemsBackedUp"),
                volumes(status)
            )),
        },
        "PartiallyFailed" => Judged::Bad(format!(
            "PartiallyFailed: {} errors; what is in it is no safe ground",
            number("/errors")
        )),
        "FailedValidation" => {
            let errors = status["validationErrors"].as_array().into_iter().flatten();
            let errors: Vec<&str> = errors.filter_map(Value::as_str).collect();
            Judged::Bad(format!("FailedValidation: {}", errors.join("; ")))
        }
        "Failed" => {
            let why = format!("Failed: {}", text("failureReason"));
            match why.contains("during the server starting") {
                true => Judged::Interrupted(why),
                false => Judged::Bad(why),
            }
        }
        "Deleting" => Judged::Bad("it is being deleted".into()),
        "Queued" => Judged::Running(format!("Queued, {} before it", number("/queuePosition"))),
        "" => Judged::Running("New".into()),
        // New, ReadyToStart, InProgress, WaitingForPluginOperations, Finalizing and theirs with PartiallyFailed; and
        // what a later Velero calls its phases: until our own time is up.
        phase => Judged::Running(format!(
            "{phase}, {} of {} items",
            number("/progress/itemsBackedUp"),
            number("/progress/totalItems")
        )),
    }
}

fn volumes(status: &Value) -> u64 {
    let number = |name: &str| status[name].as_u64().unwrap_or(0);
    let snapshots = number("volumeSnapshotsCompleted") + number("csiVolumeSnapshotsCompleted");
    // Where data is moved, an operation for each volume stands for its snapshot.
    snapshots.max(number("backupItemOperationsCompleted"))
}

/// Why one that is "Completed" is not to be relied on.
pub(in super::super) fn wanting(status: &Value, expect_volumes: Option<u32>) -> Option<String> {
    let number = |path: &str| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let short = |what: &str, done: u64, asked: u64| {
        (done < asked).then(|| format!("{done} of {asked} {what} were made"))
    };
    let failed = |what: &str, count: u64| (count > 0).then(|| format!("{count} {what} failed"));
    failed("items", number("/errors"))
        .or_else(|| {
            let (done, asked) =
                (number("/volumeSnapshotsCompleted"), number("/volumeSnapshotsAttempted"));
            short("volume snapshots", done, asked)
        })
        .or_else(|| {
            let (done, asked) =
                (number("/csiVolumeSnapshotsCompleted"), number("/csiVolumeSnapshotsAttempted"));
            short("CSI snapshots", done, asked)
        })
        .or_else(|| failed("item operations", number("/backupItemOperationsFailed")))
        .or_else(|| failed("hooks", number("/hookStatus/hooksFailed")))
        .or_else(|| {
            // A selector that matches nothing is "Completed" as well.
            (number("/progress/itemsBackedUp") == 0).then(|| "there is nothing in it".to_owned())
        })
        .or_else(|| short("volumes that are expected", volumes(status), expect_volumes?.into()))
}
