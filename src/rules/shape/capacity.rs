//! The mappings of `capacity`.

use super::{Of, Shape, key, must};

const ZONES: &[&str] = &["same", "other", "any"];

pub(in crate::rules) static LADDER: Shape = Shape {
    name: "a ladder",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        key("namespaces", Of::Texts, "Of the pods that it is for. Default: all."),
        key("labels", Of::Map, "Labels that its pods have."),
        must("nodes", Of::Mapping(&BEARING), "What a node has to be for what is sent there."),
        must("rungs", Of::List(&RUNG), "The ways to a machine, the best first."),
    ],
};

pub(in crate::rules) static BEARING: Shape = Shape {
    name: "`nodes`",
    fields: &[
        must("labels", Of::Map, "For example karpenter.sh/capacity-type: on-demand."),
        key("taints", Of::Texts, "KEY[=VALUE][:EFFECT]: what is sent there gets to bear them."),
    ],
};

pub(in crate::rules) static RUNG: Shape = Shape {
    name: "a rung",
    fields: &[
        key("karpenter", Of::Mapping(&KARPENTER), "Pods that hold a place, until it is taken."),
        key("group", Of::Mapping(&GROUP), "The desired capacity of an Auto Scaling group."),
        key("fleet", Of::Mapping(&FLEET), "An EC2 Fleet of type instant."),
        key(
            "within",
            Of::Duration,
            "A node has to be Ready by then; else the next rung. Default 10m.",
        ),
    ],
};

pub(in crate::rules) static KARPENTER: Shape = Shape {
    name: "`karpenter`",
    fields: &[
        key("zone", Of::Words(ZONES), "Seen from the machine that goes. Default any."),
        key("instance_types", Of::Texts, "Default: any that fits."),
        key("namespace", Of::Text, "Of the placeholders. Default medevac."),
        key(
            "priority_class",
            Of::Text,
            "Lower than any workload's: what they hold the place for takes it from them. Default medevac-placeholder.",
        ),
        key("image", Of::Text, "One that does nothing. Default registry.k8s.io/pause:3.10."),
    ],
};

pub(in crate::rules) static GROUP: Shape = Shape {
    name: "`group`",
    fields: &[
        key("name", Of::Text, "Of the Auto Scaling group."),
        key("cluster", Of::Text, "Instead of a name: the EKS cluster,"),
        key("node_group", Of::Text, "and its managed node group."),
        key(
            "gpus",
            Of::Number,
            "Of each machine. Default: one machine for each that the pods leave.",
        ),
    ],
};

pub(in crate::rules) static FLEET: Shape = Shape {
    name: "`fleet`",
    fields: &[
        must("launch_template", Of::Text, "Its id, lt-…, or its name."),
        key("version", Of::Text, "A number, $Latest or $Default. Default $Default."),
        must("instance_types", Of::Texts, "Each is tried as a whole before the next."),
        key("subnets", Of::Map, "Zone to subnet. Default: as the launch template says."),
        key("zone", Of::Words(ZONES), "Seen from the machine that goes. Default any."),
    ],
};
