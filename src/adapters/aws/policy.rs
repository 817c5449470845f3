//! The rights that rules need of AWS, as a policy document of IAM: what `cloud`, `capacity`, `backup` and `sqs` ask for, of
//! what the rules and the configuration name.

use crate::model::{Action, Group, Way};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the configuration names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Named<'a> {
    /// URLs.
    pub queues: &'a [&'a str],
    /// Of AWS Backup, where a step does not say it.
    pub vault: Option<&'a str>,
    /// That AWS Backup takes; its ARN.
    pub role: Option<&'a str>,
}

/// Actions, by resource and condition.
type Statements = BTreeMap<(String, String), BTreeSet<&'static str>>;

/// What has no narrower resource, or none that anybody knows before.
const ANY: &str = "*";
/// Machines of ours have our tag from the moment when they are asked for.
const OURS: &str = r#"{"Null":{"aws:ResourceTag/medevac.dev/key":"false"}}"#;

fn allow(
    all: &mut Statements,
    resource: impl Into<String>,
    condition: impl Into<String>,
    actions: &[&'static str],
) {
    all.entry((resource.into(), condition.into())).or_default().extend(actions);
}

/// A role is given to that service, and to no other.
fn pass(all: &mut Statements, role: Option<&str>, service: &str) {
    let only = json!({ "StringEquals": { "iam:PassedToService": service } }).to_string();
    allow(all, role.unwrap_or(ANY), only, &["iam:PassRole"]);
}

/// As its ARN has it. EKS calls the groups of its node groups after them.
fn group(of: &Group) -> String {
    let name = match of {
        Group::Named { name } => name.clone(),
        Group::Eks { node_group, .. } => format!("eks-{node_group}-*"),
    };
    format!("arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/{name}")
}

/// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`
fn queue(url: &str) -> String {
    let mut parts = url.rsplit('/');
    let (name, account) = (parts.next(), parts.next());
    let region = url.split("//sqs.").nth(1).and_then(|rest| rest.split('.').next());
    match (region, account, name) {
        (Some(region), Some(account), Some(name)) => format!("arn:*:sqs:{region}:{account}:{name}"),
        _ => ANY.into(),
    }
}

fn of(action: &Action, named: &Named<'_>, all: &mut Statements) {
    match action {
        Action::CompleteLifecycleAction { .. } => {
            allow(
                all,
                ANY,
                "",
                &[
                    "autoscaling:CompleteLifecycleAction",
                    "autoscaling:DescribeLifecycleHooks",
                    "autoscaling:RecordLifecycleActionHeartbeat",
                ],
            );
        }
        // The proof that a checkpoint is durable, where workloads name an object.
        Action::Checkpoint { .. } => allow(all, ANY, "", &["s3:GetObject", "s3:ListBucket"]),
        Action::Provision { ladders, .. } => {
            let rungs = ladders.iter().flat_map(|ladder| &ladder.rungs);
            rungs.for_each(|rung| provision(&rung.way, all));
        }
        Action::AwsBackup(of) => {
            let vault = of.vault.vault.as_deref().or(named.vault);
            let vault = vault
                .map_or_else(|| ANY.into(), |it| format!("arn:*:backup:*:*:backup-vault:{it}"));
            allow(all, vault, "", &["backup:StartBackupJob"]);
            let reads = [
                "backup:DescribeBackupJob",
                "backup:DescribeRecoveryPoint",
                "backup:ListBackupJobs",
                "backup:TagResource",
                "tag:GetResources",
            ];
            allow(all, ANY, "", &reads);
            pass(all, of.vault.role.as_deref().or(named.role), "backup.amazonaws.com");
        }
        Action::RequireBackup(_) => {
            let reads = [
                "backup:ListRecoveryPointsByResource",
                "ec2:DescribeSnapshots",
                "tag:GetResources",
            ];
            allow(all, ANY, "", &reads);
        }
        Action::Snapshot(_) => {
            let makes = ["ec2:CreateSnapshot", "ec2:CreateTags", "ec2:DescribeSnapshots"];
            allow(all, ANY, "", &makes);
        }
        _ => {}
    }
}

fn provision(way: &Way, all: &mut Statements) {
    match way {
        Way::Placeholders(_) => {}
        Way::Group { group: of, .. } => {
            let changes = [
                "autoscaling:CreateOrUpdateTags",
                "autoscaling:DeleteTags",
                "autoscaling:SetDesiredCapacity",
                "autoscaling:TerminateInstanceInAutoScalingGroup",
            ];
            allow(all, group(of), "", &changes);
            let reads = [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeScalingActivities",
                "ec2:CreateTags",
                "ec2:DescribeInstances",
            ];
            allow(all, ANY, "", &reads);
        }
        Way::Fleet { .. } => {
            let asks =
                ["ec2:CreateFleet", "ec2:CreateTags", "ec2:DescribeInstances", "ec2:RunInstances"];
            allow(all, ANY, "", &asks);
            allow(all, ANY, OURS, &["ec2:TerminateInstances"]);
            // The role of the launch template's machines.
            pass(all, None, "ec2.amazonaws.com");
        }
    }
}

/// The policy of the role that the daemon takes. IAM takes no document without a statement: rules that need nothing of AWS
/// get one that everybody has anyway.
pub fn policy(actions: &[&Action], named: &Named<'_>) -> Value {
    let mut all = Statements::new();
    actions.iter().for_each(|action| of(action, named, &mut all));
    for url in named.queues {
        let reads = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"];
        allow(&mut all, queue(url), "", &reads);
    }
    if all.is_empty() {
        allow(&mut all, ANY, "", &["sts:GetCallerIdentity"]);
    }
    let statement = |((resource, condition), actions): (&(String, String), &BTreeSet<&str>)| {
        let mut statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
        if let Ok(condition) = serde_json::from_str::<Value>(condition) {
            statement["Condition"] = condition;
        }
        statement
    };
    let statements: Vec<Value> = all.iter().map(statement).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bearing, Ladder, Rung, Span};

    fn statement<'a>(policy: &'a Value, action: &str) -> &'a Value {
        let all = policy["Statement"].as_array().unwrap();
        let has = |it: &&Value| it["Action"].as_array().unwrap().iter().any(|one| one == action);
        let found: Vec<&Value> = all.iter().filter(has).collect();
        assert_eq!(found.len(), 1, "{action}: {found:?}");
        found[0]
    }

    #[test]
    fn what_changes_things_is_allowed_of_what_is_named_and_no_more() {
        let rung = |way| Rung { way, within: Span::seconds(60) };
        let fleet = Way::Fleet {
            launch_template: "lt-1".into(),
            version: "1".into(),
            instance_types: vec![],
            subnets: BTreeMap::new(),
            zone: crate::model::Zone::Any,
        };
        let eks = Group::Eks { cluster: "prod".into(), node_group: "gpu".into() };
        let ladder = Ladder {
            name: "l".into(),
            namespaces: vec![],
            labels: BTreeMap::new(),
            bearing: Bearing::default(),
            rungs: vec![rung(Way::Group { group: eks, gpus: None }), rung(fleet)],
        };
        let provision = Action::Provision { ladders: vec![ladder], within: Span::seconds(60) };
        let queues = ["https://sqs.eu-west-1.amazonaws.com/123456789012/notices"];
        let named = Named { queues: &queues, ..Named::default() };
        let policy = policy(&[&provision], &named);
        let resource = |action: &str| statement(&policy, action)["Resource"].as_str().unwrap();
        assert!(
            resource("autoscaling:SetDesiredCapacity").ends_with("autoScalingGroupName/eks-gpu-*")
        );
        assert_eq!(resource("sqs:ReceiveMessage"), "arn:*:sqs:eu-west-1:123456789012:notices");
        let ends = &statement(&policy, "ec2:TerminateInstances")["Condition"];
        assert_eq!(ends["Null"]["aws:ResourceTag/medevac.dev/key"], "false");
        let passes = &statement(&policy, "iam:PassRole")["Condition"];
        assert_eq!(passes["StringEquals"]["iam:PassedToService"], "ec2.amazonaws.com");
        let text = policy.to_string();
        assert!(!text.contains("backup:") && !text.contains("s3:"), "{text}");
    }

    #[test]
    fn rules_that_need_nothing_get_a_document_all_the_same() {
        let wait = Action::Wait { time: Span::seconds(1) };
        let policy = policy(&[&wait], &Named::default());
        assert_eq!(policy["Statement"].as_array().unwrap().len(), 1);
        assert_eq!(policy["Statement"][0]["Action"], json!(["sts:GetCallerIdentity"]));
    }
}
