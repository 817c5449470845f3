//! The steps that have to do with backups.

use super::super::{Field, Of, Shape, key, must};
use super::{NAME, NEEDS, Step};

const VELERO: Field = key("velero_namespace", Of::Text, "Where Velero runs. Default velero.");
const RESOURCES: Field = key("resources", Of::Texts, "ARNs, vol-… or fs-…");
const TAGS: Field = key("tags", Of::Map, "Everything of AWS's that has all of these tags.");
const CLAIMS: Field =
    key("claims", Of::Texts, "NAMESPACE/NAME: what stands behind their volumes, EBS or EFS.");
const NAMESPACES: Field = key("namespaces", Of::Texts, "All claims of these namespaces.");
const VAULT: Field = key("vault", Of::Text, "Default: the configuration's `aws.backup.vault`.");
const ROLE: Field = key(
    "role",
    Of::Text,
    "ARN of the role that AWS Backup takes. Default: the configuration's `aws.backup.role`.",
);

pub(super) const VELERO_BACKUP: Step = (
    "velero_backup",
    "Makes a Velero backup under a name of its own, waits until Velero is done, and counts what is in it.",
    Shape {
        name: "`velero_backup`",
        fields: &[
            NAME,
            NEEDS,
            key("namespaces", Of::Texts, "Default: all."),
            key("labels", Of::Map, "Only what has these labels."),
            key("storage_location", Of::Text, "Default: Velero's own default."),
            key(
                "volumes",
                Of::Words(&["snapshot", "move", "skip"]),
                "`move` copies the data to the storage location. Default snapshot.",
            ),
            key(
                "expect_volumes",
                Of::Number,
                "So many volumes have to be in it. Default: nobody knows.",
            ),
            key("ttl", Of::Duration, "Kept for so long. Default 30d."),
            VELERO,
            key("timeout", Of::Duration, "Default 4h."),
        ],
    },
);

pub(super) const AWS_BACKUP: Step = (
    "aws_backup",
    "Begins jobs of AWS Backup, one a resource, waits for them, and looks at their recovery points. A job may wait for an hour before it begins: before a near deadline take `snapshot`.",
    Shape {
        name: "`aws_backup`",
        fields: &[
            NAME,
            NEEDS,
            RESOURCES,
            TAGS,
            CLAIMS,
            NAMESPACES,
            VAULT,
            ROLE,
            key("delete_after", Of::Duration, "In whole days. Default: as the vault has it."),
            key("start_within", Of::Duration, "At least 1h. Default 1h."),
            key("complete_within", Of::Duration, "Default 8h."),
            key("timeout", Of::Duration, "Default 12h."),
        ],
    },
);

pub(super) const SNAPSHOT: Step = (
    "snapshot",
    "Takes EBS snapshots, tagged with the incident. What they hold is what the volume held when EC2 took the request.",
    Shape {
        name: "`snapshot`",
        fields: &[
            NAME,
            NEEDS,
            key("volumes", Of::Texts, "Ids, vol-…"),
            TAGS,
            CLAIMS,
            NAMESPACES,
            key("wait", Of::Bool, "Until the data is copied. Default false."),
            key("timeout", Of::Duration, "Default 2m, with `wait` 4h."),
        ],
    },
);

pub(super) const REQUIRE_BACKUP: Step = (
    "require_backup",
    "A good backup has to be there that is not too old; where there is none, nothing that comes after it begins.",
    Shape {
        name: "`require_backup`",
        fields: &[
            NAME,
            NEEDS,
            must("newer_than", Of::Duration, "So old it may be."),
            key("of", Of::Words(&["velero", "aws", "snapshot"]), "Whose. Default velero."),
            RESOURCES,
            TAGS,
            CLAIMS,
            key("namespaces", Of::Texts, "With velero: what is in it. Else: all claims there."),
            key("labels", Of::Map, "With velero: only backups of these labels, or of everything."),
            VAULT,
            ROLE,
            VELERO,
            key("timeout", Of::Duration, "Default 2m."),
        ],
    },
);
