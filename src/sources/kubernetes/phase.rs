//! What becomes of pods: containers that ended badly or wait for something that may never come, pods that no node takes, and
//! pods that have failed.

use super::{Happening, happening, message, moment, text};
use crate::model::{Target, kind, unfit};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What is told of whether a node takes it.
const SCHEDULED: &str = "scheduled";
/// What a container waits for as a matter of course.
const USUAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];

pub(super) fn happenings(object: &Value) -> Vec<Happening> {
    let pod = Pod { object };
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = lists.iter().filter_map(|path| object.pointer(path)?.as_array()).flatten();
    let mut all: Vec<Happening> =
        containers.flat_map(|it| [pod.ended(it), pod.waits(it)]).flatten().collect();
    all.extend(pod.unschedulable());
    all.extend(pod.scheduled());
    all.extend(pod.failed());
    all
}

/// It waits for no node any more.
pub(super) fn gone(object: &Value) -> Option<Happening> {
    let pod = Pod { object };
    let time = moment(object, "/metadata/deletionTimestamp").or_else(|| pod.changed())?;
    Some(pod.settled("Deleted", time))
}

struct Pod<'a> {
    object: &'a Value,
}

impl Pod<'_> {
    fn tells(
        &self,
        about: String,
        parts: &[&str],
        time: Timestamp,
        mut payload: Value,
    ) -> Happening {
        payload["phase"] = json!(text(self.object, "/status/phase"));
        let target = Target::Pod {
            namespace: text(self.object, "/metadata/namespace").to_owned(),
            name: text(self.object, "/metadata/name").to_owned(),
        };
        let parts = [&[text(self.object, "/metadata/uid")], parts].concat();
        happening(about, kind::POD_PHASE, &parts, target, time, payload)
    }

    /// The last change that the pod itself tells the time of.
    fn changed(&self) -> Option<Timestamp> {
        let all = self.object.pointer("/status/conditions").and_then(Value::as_array);
        let times = all.into_iter().flatten().filter_map(|it| moment(it, "/lastTransitionTime"));
        times.max().or_else(|| moment(self.object, "/metadata/creationTimestamp"))
    }

    /// A container that ended, and not well.
    fn ended(&self, container: &Value) -> Option<Happening> {
        let ends = ["/state/terminated", "/lastState/terminated"];
        let ended = ends.iter().find_map(|path| container.pointer(path))?;
        let (name, reason) = (text(container, "/name"), text(ended, "/reason"));
        let exit_code = ended["exitCode"].as_i64().unwrap_or(0);
        if exit_code == 0 && reason != "OOMKilled" {
            return None;
        }
        let time = moment(ended, "/finishedAt").or_else(|| self.changed())?;
        let payload = json!({
            "reason": if reason.is_empty() { "Error" } else { reason }, "container": name,
            "exit_code": exit_code, "restarts": container["restartCount"].as_u64().unwrap_or(0),
            "message": message(ended, "/message"),
        });
        // The container's own name tells one death from another; a kubelet that lost it tells no time of its own, either.
        let own = [text(ended, "/containerID"), text(ended, "/finishedAt")];
        let restarts = container["restartCount"].as_u64().unwrap_or(0).to_string();
        let own = own.into_iter().find(|it| !it.is_empty()).unwrap_or(&restarts);
        let parts = ["ended", name, own];
        Some(self.tells(format!("ended/{name}"), &parts, time, payload))
    }

    /// A container that waits: for its image, its configuration, or after another crash.
    fn waits(&self, container: &Value) -> Option<Happening> {
        let (name, reason) = (text(container, "/name"), text(container, "/state/waiting/reason"));
        if reason.is_empty() || USUAL.contains(&reason) {
            return None;
        }
        let time = moment(container, "/lastState/terminated/finishedAt");
        let time = time.or_else(|| self.changed())?;
        let restarts = container["restartCount"].as_u64().unwrap_or(0);
        let payload = json!({
            "reason": reason, "container": name, "restarts": restarts,
            "message": message(container, "/state/waiting/message"),
        });
        let parts = ["waits", name, reason, &restarts.to_string()];
        Some(self.tells(format!("waits/{name}"), &parts, time, payload))
    }

    fn settled(&self, reason: &str, time: Timestamp) -> Happening {
        let parts = [reason, &time.to_string()];
        let payload = json!({ "reason": reason });
        let told = self.tells(SCHEDULED.into(), &parts, time, payload);
        Happening { settles: true, ..told }
    }

    /// A node has taken it.
    fn scheduled(&self) -> Option<Happening> {
        let all = self.object.pointer("/status/conditions")?.as_array()?;
        let is_placed = |it: &&Value| it["type"] == "PodScheduled" && it["status"] == "True";
        let time = moment(all.iter().find(is_placed)?, "/lastTransitionTime")?;
        Some(self.settled("Scheduled", time))
    }

    fn unschedulable(&self) -> Option<Happening> {
        let all = self.object.pointer("/status/conditions")?.as_array()?;
        let condition = all.iter().find(|it| {
            it["type"] == "PodScheduled"
                && it["status"] == "False"
                && it["reason"] == "Unschedulable"
        })?;
        let message = message(condition, "/message");
        let time = moment(condition, "/lastTransitionTime")?;
        let unfit = unfit(&message);
        let lacks: Vec<&str> = unfit.iter().map(|it| it.why.word()).collect();
        let payload = json!({
            "reason": "Unschedulable", "message": message, "lacks": lacks, "nodes": unfit,
        });
        // The sentence changes with every node that comes and goes; what it says in sum does so rarely.
        let mut sum: Vec<String> =
            unfit.iter().map(|it| format!("{} {}", it.why.word(), it.what)).collect();
        sum.sort();
        sum.dedup();
        let parts = ["unschedulable", &time.to_string(), &sum.join(",")];
        Some(self.tells(SCHEDULED.into(), &parts, time, payload))
    }

    fn failed(&self) -> Option<Happening> {
        if text(self.object, "/status/phase") != "Failed" {
            return None;
        }
        let reason = text(self.object, "/status/reason");
        let reason = if reason.is_empty() { "Failed" } else { reason };
        let payload =
            json!({ "reason": reason, "message": message(self.object, "/status/message") });
        Some(self.tells("phase".into(), &["failed", reason], self.changed()?, payload))
    }
}
