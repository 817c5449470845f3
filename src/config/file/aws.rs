//! The part of the configuration that is about AWS.

use super::words;
use crate::config::{Aws, Leftover, QueueSource};
use crate::model::{Protected, Vault};
use crate::rules::Code;
use crate::rules::reading::{Entries, Faults, Node, Of, Shape, key, must};
use std::time::Duration;

pub(super) static AWS: Shape = Shape {
    name: "`aws`",
    fields: &[
        key("region", Of::Text, "Default: the environment's, as of every AWS program."),
        key("endpoint", Of::Text, "Instead of AWS's own: a private endpoint."),
        key(
            "queues",
            Of::List(&QUEUE),
            "SQS queues with EventBridge's, Auto Scaling's and AWS Health's messages.",
        ),
        key("backup", Of::Mapping(&BACKUP), "AWS Backup, where a step does not say it."),
    ],
};

static BACKUP: Shape = Shape {
    name: "`backup`",
    fields: &[
        key("vault", Of::Text, "The name of the vault."),
        key("role", Of::Text, "The ARN of the role that AWS Backup takes."),
    ],
};

static QUEUE: Shape = Shape {
    name: "a queue",
    fields: &[
        must("url", Of::Text, "https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"),
        key("receivers", Of::Number, "Beside each other, in each replica. Default 4, at most 32."),
        key(
            "visibility",
            Of::Duration,
            "Hidden so long while it is worked on, extended as needed. Default 30s; 2s to 12h.",
        ),
        key(
            "foreign",
            Of::Words(LEFTOVER),
            "What is AWS's and not for us. leave: others read this queue too, and what is about machines that are no nodes of ours is theirs. Default delete.",
        ),
        key(
            "broken",
            Of::Words(LEFTOVER),
            "What cannot be read: deleted, it is a dead letter. Default delete.",
        ),
    ],
};

const LEFTOVER: &[&str] = &["delete", "leave"];
/// What SQS allows (`VisibilityTimeout`), and what leaves time to work.
const VISIBILITY: std::ops::RangeInclusive<u64> = 2..=43_200;
const RECEIVERS: u32 = 32;

pub(super) fn aws(node: &Node, faults: &mut Faults) -> Aws {
    let Some(entries) = Entries::of(node, &AWS, faults) else { return Aws::default() };
    let mut aws = Aws {
        region: entries.text("region", faults),
        endpoint: entries.text("endpoint", faults),
        queues: vec![],
        backup: entries.get("backup").map(|node| vault(node, faults)).unwrap_or_default(),
    };
    if let (Some(endpoint), Some(node)) = (&aws.endpoint, entries.get("endpoint"))
        && !is_url(endpoint)
    {
        faults.add(Code::BadValue, &node.place, "an endpoint starts with https:// or http://");
    }
    for node in entries.list("queues", faults) {
        let Some(queue) = queue(node, faults) else { continue };
        if aws.queues.iter().any(|other| other.url == queue.url) {
            faults.add(Code::Duplicate, &node.place, "this queue is there twice");
        }
        aws.queues.push(queue);
    }
    aws
}

fn vault(node: &Node, faults: &mut Faults) -> Vault {
    let Some(entries) = Entries::of(node, &BACKUP, faults) else { return Vault::default() };
    let role = entries.text("role", faults);
    if let (Some(role), Some(node)) = (&role, entries.get("role"))
        && Protected::Volume(String::new()).arn(role, "").is_err()
    {
        let message = format!("`{role}` is not the ARN of a role");
        faults.add(Code::BadValue, &node.place, message).hint =
            Some("write arn:aws:iam::123456789012:role/NAME".into());
    }
    Vault { vault: entries.text("vault", faults), role }
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

fn queue(node: &Node, faults: &mut Faults) -> Option<QueueSource> {
    let entries = Entries::of(node, &QUEUE, faults)?;
    let mut leftover = |key: &str| match words(&entries, key, LEFTOVER, faults).as_deref() {
        Some("leave") => Leftover::Leave,
        _ => Leftover::Delete,
    };
    let (foreign, broken) = (leftover("foreign"), leftover("broken"));
    let receivers = entries.number("receivers", faults).unwrap_or(4);
    if !(1..=RECEIVERS).contains(&receivers) {
        let place = entries.get("receivers").map_or(entries.place(), |node| &node.place);
        faults.add(Code::BadValue, place, format!("`receivers` is 1 to {RECEIVERS}"));
    }
    let visibility = entries.span("visibility", faults).map_or(Duration::from_secs(30), |it| it.0);
    if !VISIBILITY.contains(&visibility.as_secs()) {
        let place = entries.get("visibility").map_or(entries.place(), |node| &node.place);
        faults.add(Code::BadValue, place, "`visibility` is 2s to 12h, as SQS has it");
    }
    let url = entries.text("url", faults)?;
    if !is_url(&url) {
        let place = entries.get("url").map_or(entries.place(), |node| &node.place);
        let fault = faults.add(Code::BadValue, place, format!("`{url}` is no URL of a queue"));
        fault.hint = Some("write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME".into());
    }
    Some(QueueSource { url, receivers, visibility, foreign, broken })
}
