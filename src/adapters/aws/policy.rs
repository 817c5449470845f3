//! The rights that rules need of AWS, as a policy document of IAM: what `cloud`, `capacity`, `backup` and `sqs` ask for.

use crate::model::{Action, Way};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn of(action: &Action, all: &mut BTreeSet<&'static str>) {
    match action {
        Action::CompleteLifecycleAction { .. } => all.extend([
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:DescribeLifecycleHooks",
            "autoscaling:RecordLifecycleActionHeartbeat",
        ]),
        // The proof that a checkpoint is durable, where workloads name an object.
        Action::Checkpoint { .. } => all.extend(["s3:GetObject", "s3:ListBucket"]),
        Action::Provision { ladders, .. } => {
            for rung in ladders.iter().flat_map(|ladder| &ladder.rungs) {
                match rung.way {
                    Way::Placeholders(_) => {}
                    Way::Group { .. } => all.extend([
                        "autoscaling:CreateOrUpdateTags",
                        "autoscaling:DeleteTags",
                        "autoscaling:DescribeAutoScalingGroups",
                        "autoscaling:DescribeScalingActivities",
                        "autoscaling:SetDesiredCapacity",
                        "autoscaling:TerminateInstanceInAutoScalingGroup",
                        "ec2:CreateTags",
                        "ec2:DescribeInstances",
                    ]),
                    Way::Fleet { .. } => all.extend([
                        "ec2:CreateFleet",
                        "ec2:CreateTags",
                        "ec2:DescribeInstances",
                        "ec2:RunInstances",
                        "ec2:TerminateInstances",
                        "iam:PassRole",
                    ]),
                }
            }
        }
        Action::AwsBackup(_) => all.extend([
            "backup:DescribeBackupJob",
            "backup:DescribeRecoveryPoint",
            "backup:ListBackupJobs",
            "backup:StartBackupJob",
            "iam:PassRole",
            "tag:GetResources",
        ]),
        Action::RequireBackup(_) => all.extend([
            "backup:ListRecoveryPointsByResource",
            "ec2:DescribeSnapshots",
            "tag:GetResources",
        ]),
        Action::Snapshot(_) => {
            all.extend(["ec2:CreateSnapshot", "ec2:CreateTags", "ec2:DescribeSnapshots"]);
        }
        _ => {}
    }
}

/// The policy of the role that the daemon takes. Narrow `Resource` to your queues, groups, vaults and buckets.
pub fn policy(actions: &[&Action], queues: bool) -> Value {
    let mut all = BTreeSet::new();
    actions.iter().for_each(|action| of(action, &mut all));
    if queues {
        all.extend(["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]);
    }
    let statement = json!([{ "Effect": "Allow", "Action": all, "Resource": "*" }]);
    let statement = if all.is_empty() { json!([]) } else { statement };
    json!({ "Version": "2012-10-17", "Statement": statement })
}
