//! The steps that have to do with machines in place of one that goes.

use super::{NAME, NEEDS, Of, Shape, Step, key};

pub(super) const PROVISION: Step = (
    "provision",
    "Asks for machines in place of the one that goes, by the ladders of `capacity`: the next rung at once where one has nothing. Only steps that name it in `needs` wait for it. What nobody needs in the end is given back.",
    Shape {
        name: "`provision`",
        fields: &[
            NAME,
            NEEDS,
            key(
                "within",
                Of::Duration,
                "After the last rung the first is tried again, for so long. Default 30m.",
            ),
        ],
    },
);

pub(super) const RESCHEDULE: Step = (
    "reschedule",
    "Lets what runs on the node run on the nodes of its ladder: Deployments and StatefulSets by their templates, Jobs and JobSets while they are suspended. What was before is remembered on the object.",
    Shape {
        name: "`reschedule`",
        fields: &[
            NAME,
            NEEDS,
            key(
                "extent",
                Of::Words(&["lost", "whole"]),
                "lost: its pods may run there as well. whole: all of them have to. Default lost.",
            ),
            key(
                "bare_pods",
                Of::Bool,
                "Also pods that no controller makes anew: what each is made of is kept while it goes (as a PodTemplate beside it), and under its own name it is made from that. It takes the right to create pods. Default false.",
            ),
            key("timeout", Of::Duration, "Until a job's pods have ended, or the pod. Default 10m."),
        ],
    },
);

pub(super) const RETURN_TO_SPOT: Step = (
    "return_to_spot",
    "Lets what `reschedule` has sent elsewhere go back to where it may have run before.",
    Shape {
        name: "`return_to_spot`",
        fields: &[
            NAME,
            NEEDS,
            key(
                "pool",
                Of::Text,
                "Those that left this pool. Default: the pool/NAME that the incident is about, or the pool of its node; else all.",
            ),
            key("timeout", Of::Duration, "Until a job's pods have ended. Default 10m."),
        ],
    },
);
