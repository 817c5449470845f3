//! The steps that have to do with backups.

use super::super::super::diagnostic::Code;
use super::super::super::rule::word;
use super::super::super::walk::{Entries, Faults};
use crate::model::{
    Action, AwsBackup, RequireBackup, Snapshot, Sought, Span, Tool, Vault, VeleroBackup, Volumes,
};
use std::time::Duration;

const DAY: u64 = 86_400;
/// AWS takes no shorter window.
const SHORTEST_WINDOW: Duration = Duration::from_secs(3600);
const VOLUMES: [(&str, Volumes); 3] =
    [("snapshot", Volumes::Snapshot), ("move", Volumes::Move), ("skip", Volumes::Skip)];
const TOOLS: [(&str, Tool); 3] =
    [("velero", Tool::Velero), ("aws", Tool::Aws), ("snapshot", Tool::Snapshot)];

pub(super) fn action(verb: &str, entries: &Entries<'_>, faults: &mut Faults) -> Option<Action> {
    Some(match verb {
        "velero_backup" => Action::VeleroBackup(Box::new(VeleroBackup {
            namespaces: entries.words("namespaces", faults),
            labels: entries.map("labels", faults),
            storage_location: entries.text("storage_location", faults),
            volumes: word(entries, "volumes", &VOLUMES, faults).unwrap_or_default(),
            expect_volumes: entries.number("expect_volumes", faults),
            ttl: entries.span("ttl", faults).unwrap_or(Span::seconds(30 * DAY)),
            velero_namespace: velero(entries, faults),
            timeout: entries.span("timeout", faults).unwrap_or(Span::seconds(4 * 3600)),
        })),
        "aws_backup" => aws(entries, faults),
        "snapshot" => snapshot(entries, faults),
        _ => require(entries, faults)?,
    })
}

fn aws(entries: &Entries<'_>, faults: &mut Faults) -> Action {
    let start_within = entries.span("start_within", faults).unwrap_or(Span::seconds(3600));
    if start_within.0 < SHORTEST_WINDOW {
        let place = entries.get("start_within").map_or(entries.place(), |node| &node.place);
        faults.add(Code::BadValue, place, "AWS Backup takes no window of less than an hour").hint =
            Some("write 1h or more; for something quicker there is `snapshot`".into());
    }
    let complete_within =
        entries.span("complete_within", faults).unwrap_or(Span::seconds(8 * 3600));
    if complete_within.0 <= start_within.0 {
        let place = entries.get("complete_within").map_or(entries.place(), |node| &node.place);
        faults.add(Code::Conflict, place, "`complete_within` ends before a job has to begin");
    }
    Action::AwsBackup(Box::new(AwsBackup {
        vault: vault(entries, faults),
        sought: sought(entries, "resources", faults),
        delete_after_days: days(entries, faults),
        start_within,
        complete_within,
        timeout: entries.span("timeout", faults).unwrap_or(Span::seconds(12 * 3600)),
    }))
}

fn snapshot(entries: &Entries<'_>, faults: &mut Faults) -> Action {
    let wait = entries.boolean("wait", faults).unwrap_or(false);
    let patience = Span::seconds(if wait { 4 * 3600 } else { 120 });
    let sought = sought(entries, "volumes", faults);
    if let (Some(odd), Some(node)) =
        (sought.resources.iter().find(|id| !id.starts_with("vol-")), entries.get("volumes"))
    {
        faults.add(Code::BadValue, &node.place, format!("`{odd}` is not the id of a volume"));
    }
    let timeout = entries.span("timeout", faults).unwrap_or(patience);
    Action::Snapshot(Box::new(Snapshot { sought, wait, timeout }))
}

fn require(entries: &Entries<'_>, faults: &mut Faults) -> Option<Action> {
    let of = word(entries, "of", &TOOLS, faults).unwrap_or(Tool::Velero);
    let sought = match of {
        Tool::Velero => {
            for key in ["resources", "tags", "claims"] {
                if let Some(node) = entries.get(key) {
                    let message = format!("Velero knows namespaces and labels, and no `{key}`");
                    faults.add(Code::Conflict, &node.place, message);
                }
            }
            Sought { namespaces: entries.words("namespaces", faults), ..Sought::default() }
        }
        Tool::Aws | Tool::Snapshot => sought(entries, "resources", faults),
    };
    Some(Action::RequireBackup(Box::new(RequireBackup {
        newer_than: entries.span("newer_than", faults)?,
        of,
        sought,
        labels: entries.map("labels", faults),
        vault: vault(entries, faults),
        velero_namespace: velero(entries, faults),
        timeout: entries.span("timeout", faults).unwrap_or(Span::seconds(120)),
    })))
}

fn velero(entries: &Entries<'_>, faults: &mut Faults) -> String {
    entries.text("velero_namespace", faults).unwrap_or_else(|| "velero".into())
}

fn vault(entries: &Entries<'_>, faults: &mut Faults) -> Vault {
    let role = entries.text("role", faults);
    if let (Some(role), Some(node)) = (&role, entries.get("role"))
        && !(role.starts_with("arn:") && role.contains(":iam::") && role.contains(":role/"))
    {
        faults
            .add(Code::BadValue, &node.place, format!("`{role}` is not the ARN of a role"))
            .hint = Some("write arn:aws:iam::123456789012:role/NAME".into());
    }
    Vault { vault: entries.text("vault", faults), role }
}

/// What is to be backed up: something has to be.
fn sought(entries: &Entries<'_>, resources: &str, faults: &mut Faults) -> Sought {
    let sought = Sought {
        resources: entries.words(resources, faults),
        tags: entries.map("tags", faults),
        claims: entries.words("claims", faults),
        namespaces: entries.words("namespaces", faults),
    };
    if sought.is_empty() {
        let message = format!("of what? Name `{resources}`, `tags`, `claims` or `namespaces`");
        faults.add(Code::MissingKey, entries.place(), message);
    }
    let odd = sought
        .claims
        .iter()
        .find(|claim| claim.split('/').filter(|it| !it.is_empty()).count() != 2);
    if let (Some(odd), Some(node)) = (odd, entries.get("claims")) {
        faults.add(Code::BadValue, &node.place, format!("`{odd}` is not a claim")).hint =
            Some("write NAMESPACE/NAME".into());
    }
    sought
}

fn days(entries: &Entries<'_>, faults: &mut Faults) -> Option<u32> {
    let span = entries.span("delete_after", faults)?;
    let (days, rest) = (span.0.as_secs() / DAY, span.0.as_secs() % DAY);
    if days == 0 || rest != 0 {
        let place = entries.get("delete_after").map_or(entries.place(), |node| &node.place);
        faults.add(Code::BadValue, place, "AWS Backup keeps for whole days, for example 30d");
    }
    u32::try_from(days).ok()
}
