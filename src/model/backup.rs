//! Backups: what is asked for, and how far a tool has come.

use super::Span;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// A Velero backup that is to be made. Source of the fields: velero pkg/apis/velero/v1/backup_types.go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VeleroBackup {
    /// Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `None`: the one that Velero takes by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_location: Option<String>,
    pub volumes: Volumes,
    /// How many volumes have to be in it. `None`: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_volumes: Option<u32>,
    /// Kept for so long.
    pub ttl: Span,
    /// Where Velero runs.
    pub velero_namespace: String,
    pub timeout: Span,
}

/// What becomes of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Volumes {
    #[default]
    Snapshot,
    /// A snapshot is taken and its data is moved to the storage location: slow, and safe from the account.
    Move,
    Skip,
}

/// Volumes and file systems, by whatever names them. All of it counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sought {
    /// ARNs; for snapshots volume ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Everything of AWS's that has all of these tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// `namespace/name` of claims: what stands behind their volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// All claims of these namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
}

impl Sought {
    pub fn is_empty(&self) -> bool {
        *self == Sought::default()
    }
}

/// Where AWS Backup keeps what it makes, and as whom it works. `None`: as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vault {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
    /// ARN of the role that AWS Backup takes; its account is the resources' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// On-demand jobs of AWS Backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsBackup {
    #[serde(flatten)]
    pub vault: Vault,
    #[serde(flatten)]
    pub sought: Sought,
    /// Days after which a recovery point is deleted. `None`: the vault's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_days: Option<u32>,
    /// A job that has not begun by then expires. AWS takes no less than an hour.
    pub start_within: Span,
    pub complete_within: Span,
    pub timeout: Span,
}

/// EBS snapshots: the point in time is that of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(flatten)]
    pub sought: Sought,
    /// Until the data is copied. Else it is done when EC2 has taken the request.
    pub wait: bool,
    pub timeout: Span,
}

/// A backup that has to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequireBackup {
    pub newer_than: Span,
    pub of: Tool,
    /// With Velero its namespaces; else those of claims.
    #[serde(flatten)]
    pub sought: Sought,
    /// With Velero: a backup of other labels does not count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(flatten)]
    pub vault: Vault,
    pub velero_namespace: String,
    pub timeout: Span,
}

/// Who makes backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    Velero,
    Aws,
    Snapshot,
}

impl Tool {
    pub fn word(self) -> &'static str {
        match self {
            Tool::Velero => "Velero",
            Tool::Aws => "AWS Backup",
            Tool::Snapshot => "EC2",
        }
    }
}

/// Something that AWS can back up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protected {
    Arn(String),
    /// An EBS volume's id.
    Volume(String),
    /// An EFS file system's id.
    FileSystem(String),
}

impl Protected {
    /// What a rule file or AWS calls it.
    pub fn named(text: &str) -> Protected {
        if let Some((_, id)) = text.rsplit_once(":volume/").filter(|(arn, _)| arn.contains(":ec2:"))
        {
            // However it is named, it is one.
            Protected::Volume(id.into())
        } else if text.starts_with("vol-") {
            Protected::Volume(text.into())
        } else if text.starts_with("fs-") {
            Protected::FileSystem(text.into())
        } else {
            Protected::Arn(text.into())
        }
    }

    /// What stands behind a PersistentVolume.
    ///
    /// # Errors
    /// In words: nothing that AWS knows of.
    pub fn behind(volume: &Value) -> Result<Protected, String> {
        let spec = &volume["spec"];
        let handle = spec["csi"]["volumeHandle"].as_str().unwrap_or_default();
        // In-tree volumes are `aws://zone/vol-…`; EFS handles may go on with a path or an access point.
        let old = spec["awsElasticBlockStore"]["volumeID"].as_str().unwrap_or_default();
        let old = old.rsplit('/').next().unwrap_or_default();
        let file_system = handle.split(':').next().unwrap_or_default();
        match spec["csi"]["driver"].as_str() {
            Some("ebs.csi.aws.com") if handle.starts_with("vol-") => {
                Ok(Protected::Volume(handle.into()))
            }
            Some("efs.csi.aws.com") if file_system.starts_with("fs-") => {
                Ok(Protected::FileSystem(file_system.into()))
            }
            None if old.starts_with("vol-") => Ok(Protected::Volume(old.into())),
            Some(driver) => Err(format!("its volume is of `{driver}`, which AWS does not back up")),
            None => Err("its volume is none of AWS's".into()),
        }
    }

    /// In the account and partition of that role.
    ///
    /// # Errors
    /// Where the role is no ARN of a role.
    pub fn arn(&self, role: &str, region: &str) -> Result<String, String> {
        let mut parts = role.split(':');
        let role = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
        let (Some("arn"), Some(partition), Some("iam"), Some(_), Some(account)) = role else {
            return Err(
                "the role is not an ARN such as arn:aws:iam::123456789012:role/backup".into()
            );
        };
        Ok(match self {
            Protected::Arn(arn) => arn.clone(),
            Protected::Volume(id) => format!("arn:{partition}:ec2:{region}:{account}:volume/{id}"),
            Protected::FileSystem(id) => {
                format!("arn:{partition}:elasticfilesystem:{region}:{account}:file-system/{id}")
            }
        })
    }

    /// The volume's id, where it is a volume.
    pub fn volume(&self) -> Option<&str> {
        match self {
            Protected::Volume(id) => Some(id),
            Protected::Arn(arn) => arn.rsplit_once(":volume/").map(|(_, id)| id),
            Protected::FileSystem(_) => None,
        }
    }
}

impl fmt::Display for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Protected::Arn(arn) => f.write_str(arn.rsplit(':').next().unwrap_or(arn)),
            Protected::Volume(id) | Protected::FileSystem(id) => f.write_str(id),
        }
    }
}

/// How far something of AWS's has come: a backup job, a recovery point, a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// The job's, the recovery point's or the snapshot's own name.
    pub id: String,
    /// As AWS says it.
    pub state: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Of a job: what it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<String>,
    /// Of what it holds the state of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_stands_behind_a_volume_is_found_or_named() {
        let csi = |driver: &str, handle: &str| {
            Protected::behind(&json!({"spec": {"csi": {"driver": driver, "volumeHandle": handle}}}))
        };
        assert_eq!(csi("ebs.csi.aws.com", "vol-1"), Ok(Protected::Volume("vol-1".into())));
        for handle in ["fs-1", "fs-1::fsap-2", "fs-1:/models:fsap-2"] {
            assert_eq!(csi("efs.csi.aws.com", handle), Ok(Protected::FileSystem("fs-1".into())));
        }
        assert!(csi("fsx.csi.aws.com", "fs-1").unwrap_err().contains("fsx.csi.aws.com"));
        let old = json!({"spec": {"awsElasticBlockStore": {"volumeID": "aws://eu-west-1a/vol-2"}}});
        assert_eq!(Protected::behind(&old), Ok(Protected::Volume("vol-2".into())));
        assert!(Protected::behind(&json!({"spec": {"hostPath": {}}})).is_err());
    }

    #[test]
    fn an_arn_is_of_the_account_and_partition_of_the_role() {
        let role = "arn:aws-cn:iam::123456789012:role/backup";
        assert_eq!(
            Protected::Volume("vol-1".into()).arn(role, "cn-north-1").unwrap(),
            "arn:aws-cn:ec2:cn-north-1:123456789012:volume/vol-1"
        );
        assert_eq!(
            Protected::FileSystem("fs-1".into()).arn(role, "cn-north-1").unwrap(),
            "arn:aws-cn:elasticfilesystem:cn-north-1:123456789012:file-system/fs-1"
        );
        assert!(Protected::Volume("vol-1".into()).arn("backup", "eu-west-1").is_err());
        let arn = Protected::named("arn:aws:ec2:eu-west-1:1:volume/vol-9");
        assert_eq!(arn, Protected::Volume("vol-9".into()), "however it is named");
        let other = Protected::named("arn:aws:rds:eu-west-1:1:db:orders");
        assert_eq!((other.volume(), other.to_string().as_str()), (None, "orders"));
    }
}
