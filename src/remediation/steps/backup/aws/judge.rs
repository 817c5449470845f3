//! What AWS's states come to.

/// What a state comes to.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Judged {
    Running,
    Good,
    Bad,
}

/// The states of a backup job.
pub(in super::super) fn judge_job(state: &str) -> Judged {
    match state {
        "COMPLETED" => Judged::Good,
        "FAILED" | "ABORTED" | "EXPIRED" | "PARTIAL" => Judged::Bad,
        // CREATED, PENDING, RUNNING, ABORTING, and what AWS may add: until our own time is up.
        _ => Judged::Running,
    }
}

/// The states of a recovery point.
pub(in super::super) fn judge_point(state: &str) -> Judged {
    match state {
        "COMPLETED" | "AVAILABLE" => Judged::Good,
        "PARTIAL" | "STOPPED" | "DELETING" | "EXPIRED" => Judged::Bad,
        _ => Judged::Running,
    }
}
