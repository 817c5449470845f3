//! Volumes that do not come: the claim, its class and driver, the node's plugin, the zone, the attachment, and what kubelet
//! says. Sources: the events of kubelet and of the attach-detach controller; the drivers of EFS and EBS.

use super::facts::{
    See, bad, good, is_ready, label, list, name, quote, quoted, state_of, suspect, text,
};
use crate::model::{Finding, Resource, Target};
use serde_json::Value;

const ZONE: &str = "topology.kubernetes.io/zone";
const EFS: &str = "efs.csi.aws.com";
const EBS: &str = "ebs.csi.aws.com";
/// What kubelet says, and what it comes from.
const SAID: [(&str, &str); 9] = [
    (
        "Multi-Attach",
        "another node has it still: where its machine is gone, the taint node.kubernetes.io/out-of-service gives it back at once",
    ),
    (
        "not found in the list of registered CSI drivers",
        "the driver's node plugin does not run on the node, or has not registered yet",
    ),
    (
        "access denied",
        "of EFS: the access point, the file system policy, or the role of the driver does not let it in",
    ),
    (
        "Permission denied",
        "of EFS: the user of the access point owns nothing there; of others: fsGroup of the pod",
    ),
    (
        "No such file or directory",
        "of EFS: the path of the access point is not there, and the access point does not make it",
    ),
    (
        "Failed to resolve",
        "the file system has no mount target in the node's zone, or the VPC has no DNS",
    ),
    (
        "DeadlineExceeded",
        "NFS does not get through: the security group of the mount targets has to let the nodes in on port 2049",
    ),
    (
        "timed out",
        "NFS does not get through: the security group of the mount targets has to let the nodes in on port 2049",
    ),
    (
        "wrong fs type",
        "the helper of that file system is not on the node, or the disk has another file system",
    ),
];

/// Names of the claims that a pod mounts.
pub(super) fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    let all = list(pod, "/spec/volumes").iter();
    all.map(|it| text(it, "/persistentVolumeClaim/claimName")).filter(|it| !it.is_empty())
}

pub(super) fn look(see: &See<'_>, subject: &Target) -> Vec<Finding> {
    if let Target::Other { kind, name } = subject
        && matches!(kind.as_str(), "claim" | "persistentvolumeclaim")
        && let Some((namespace, claim)) = name.split_once('/')
    {
        return of_claim(see, namespace, claim, None);
    }
    let Some(pods) = see.pods(subject) else { return vec![] };
    // Of many, those that have not come up.
    let some = pods.iter().filter(|pod| pods.len() == 1 || !is_ready(pod)).take(3);
    let mut found: Vec<Finding> = some.flat_map(|pod| of_pod(see, pod)).collect();
    if found.is_empty() && !pods.is_empty() {
        found.push(good(format!("no pod of {subject} waits for a volume")));
    }
    found
}

fn of_pod(see: &See<'_>, pod: &Value) -> Vec<Finding> {
    let (namespace, node) = (text(pod, "/metadata/namespace"), text(pod, "/spec/nodeName"));
    let node = Some(node).filter(|it| !it.is_empty());
    let mut found: Vec<Finding> =
        claims(pod).flat_map(|claim| of_claim(see, namespace, claim, node)).collect();
    let told = see.events(namespace, "Pod", name(pod));
    let failed = told
        .iter()
        .filter(|it| ["FailedMount", "FailedAttachVolume", "FailedMapVolume"].contains(&it.reason));
    found.extend(failed.take(3).map(|it| {
        let known = SAID.iter().find(|(said, _)| it.message.contains(said));
        let advice = known.map_or("the message is kubelet's own", |(_, advice)| *advice);
        bad(format!("a volume of {} does not come", name(pod)), vec![quoted(it)], advice)
    }));
    found
}

fn of_claim(see: &See<'_>, namespace: &str, claim: &str, node: Option<&str>) -> Vec<Finding> {
    let Some(of) = see.one(Resource::CLAIM, Some(namespace), claim) else { return vec![] };
    let Some(of) = of else {
        return vec![bad(
            format!("there is no claim {namespace}/{claim}"),
            vec![],
            "make it, or mend the name",
        )];
    };
    let class = text(of, "/spec/storageClassName");
    let bound = text(of, "/status/phase") == "Bound";
    let mut found = if bound { vec![] } else { unbound(see, namespace, claim, of, class) };
    if bound
        && let Some(Some(volume)) = see.one(Resource::VOLUME, None, text(of, "/spec/volumeName"))
    {
        found.extend(of_volume(see, of, volume, node));
    }
    if found.is_empty() {
        found.push(good(format!("the claim {namespace}/{claim} is bound")));
    }
    found
}

fn unbound(see: &See<'_>, namespace: &str, claim: &str, of: &Value, class: &str) -> Vec<Finding> {
    let told = see.events(namespace, "PersistentVolumeClaim", claim);
    let said: Vec<String> =
        told.iter().filter(|it| it.reason.ends_with("Failed")).take(2).map(quoted).collect();
    let what = format!("the claim {namespace}/{claim} is not bound");
    if class.is_empty() {
        return vec![bad(
            what,
            said,
            "it names no StorageClass, and there is no default one: EFS for what many read, gp3 for fast disks, io2 for databases",
        )];
    }
    let Some(found) = see.one(Resource::STORAGE_CLASS, None, class) else { return vec![] };
    let Some(found) = found else {
        return vec![bad(
            format!("{what}: there is no StorageClass {class}"),
            said,
            "make it, or mend the name",
        )];
    };
    let driver = text(found, "/provisioner");
    let mut all = no_driver(see, driver);
    let shared = list(of, "/spec/accessModes").iter().any(|it| it == "ReadWriteMany");
    if shared && driver == EBS {
        all.push(bad(
            format!("{what}: many nodes are to write to it, and EBS is one node's"),
            vec![format!("class {class}")],
            "take a class of EFS",
        ));
    }
    if text(found, "/volumeBindingMode") == "WaitForFirstConsumer" && said.is_empty() {
        all.push(suspect(
            format!("{what}: it waits for a pod that gets a node"),
            vec![format!("class {class} binds with the first pod")],
            "medevac diagnose scheduling, about that pod",
        ));
    } else {
        all.push(bad(what, said, "the provisioner says why; of EFS: it makes access points only where the class has provisioningMode: efs-ap and a fileSystemId"));
    }
    all
}

fn no_driver(see: &See<'_>, driver: &str) -> Vec<Finding> {
    match see.one(Resource::CSI_DRIVER, None, driver) {
        Some(None) if driver.contains('.') && !driver.starts_with("kubernetes.io/") => {
            vec![bad(
                format!("the driver {driver} is not installed"),
                vec![],
                "install it: on EKS as an add-on",
            )]
        }
        _ => vec![],
    }
}

fn of_volume(see: &See<'_>, claim: &Value, volume: &Value, node: Option<&str>) -> Vec<Finding> {
    let (driver, handle) =
        (text(volume, "/spec/csi/driver"), text(volume, "/spec/csi/volumeHandle"));
    let mut found = if driver.is_empty() { vec![] } else { no_driver(see, driver) };
    if driver == EFS && !handle.contains("fsap-") {
        let advice = "with an access point each workload has a directory and a user of its own: fs-…::fsap-…";
        found.push(suspect(
            format!("{} is the whole file system, without an access point", name(volume)),
            vec![quote(handle)],
            advice,
        ));
    }
    let Some(node) = node else { return found };
    found.extend(another_zone(see, volume, node));
    if !driver.is_empty() {
        found.extend(no_plugin(see, driver, node));
    }
    let one = list(claim, "/spec/accessModes")
        .iter()
        .all(|it| it != "ReadWriteMany" && it != "ReadOnlyMany");
    found.extend(attachments(see, volume, node, one));
    found
}

fn another_zone(see: &See<'_>, volume: &Value, node: &str) -> Option<Finding> {
    let here = label(see.one(Resource::NODE, None, node)??, ZONE)?;
    let terms = list(volume, "/spec/nodeAffinity/required/nodeSelectorTerms").iter();
    let zones: Vec<&str> = terms
        .flat_map(|term| list(term, "/matchExpressions"))
        .filter(|it| text(it, "/key").ends_with("/zone"))
        .flat_map(|it| list(it, "/values"))
        .filter_map(Value::as_str)
        .collect();
    (!zones.is_empty() && !zones.contains(&here)).then(|| {
        let seen = vec![format!("the volume is in {}, {node} in {here}", zones.join(", "))];
        bad(
            format!("{} is in another zone than its pod", name(volume)),
            seen,
            "a class with WaitForFirstConsumer, or a copy by a snapshot in the other zone",
        )
    })
}

/// The driver's plugin on the node, and its pod.
fn no_plugin(see: &See<'_>, driver: &str, node: &str) -> Option<Finding> {
    let registered = see.one(Resource::CSI_NODE, None, node)?;
    let known = registered
        .is_some_and(|it| list(it, "/spec/drivers").iter().any(|it| it["name"] == driver));
    if known {
        return None;
    }
    let app = match driver {
        EFS => "app=efs-csi-node",
        EBS => "app=ebs-csi-node",
        _ => "",
    };
    let pods =
        if app.is_empty() { &[] } else { see.many(Resource::POD, Some("kube-system"), app)? };
    let here = pods.iter().find(|pod| text(pod, "/spec/nodeName") == node);
    let seen = here.map(state_of).into_iter().collect();
    Some(bad(
        format!("the driver {driver} is not registered on {node}"),
        seen,
        "its node plugin is a DaemonSet: see that it tolerates the node's taints, and its log",
    ))
}

fn attachments(see: &See<'_>, volume: &Value, node: &str, one: bool) -> Vec<Finding> {
    let all = see.many(Resource::ATTACHMENT, None, "").unwrap_or_default();
    let ours =
        all.iter().filter(|it| text(it, "/spec/source/persistentVolumeName") == name(volume));
    ours.filter_map(|it| {
        let error = text(it, "/status/attachError/message");
        let there = text(it, "/spec/nodeName");
        if !error.is_empty() {
            return Some(bad(
                format!("{} cannot be attached to {there}", name(volume)),
                vec![quote(error)],
                "the message is the cloud's",
            ));
        }
        (one && there != node && it["status"]["attached"] == true).then(|| {
            bad(format!("{} is still attached to {there}", name(volume)), vec![], SAID[0].1)
        })
    })
    .collect()
}
