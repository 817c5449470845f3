//! What a namespace or a tenant may use, and what it uses; and whether it is kept apart from others at all.

use super::facts::{See, bad, good, list, name, namespace_of, quantity, quote, suspect, text};
use crate::model::{Finding, Resource, Target};
use serde_json::Value;

/// From this share on it is worth a word.
const NEARLY: f64 = 0.9;

pub(super) fn look(see: &See<'_>, subject: &Target) -> Vec<Finding> {
    let tenant = match subject {
        Target::Other { kind, name } if kind == "tenant" => Some(name),
        _ => None,
    };
    let Some(tenant) = tenant else {
        return namespace_of(subject).map(|it| of_namespace(see, it)).unwrap_or_default();
    };
    let label = format!("tenant={tenant}");
    match see.many(Resource::NAMESPACE, None, &label) {
        Some([]) => vec![bad(
            format!("no namespace has the label {label}"),
            vec![],
            "label the tenant's namespaces: quotas, policies and guards go by it",
        )],
        Some(all) => all.iter().flat_map(|it| of_namespace(see, name(it))).collect(),
        None => vec![],
    }
}

fn of_namespace(see: &See<'_>, namespace: &str) -> Vec<Finding> {
    let mut found = used_up(see, namespace);
    let quotas = see.many(Resource::QUOTA, Some(namespace), "");
    let of_tenant = see.one(Resource::NAMESPACE, None, namespace).flatten();
    let tenant = of_tenant.and_then(|it| super::facts::label(it, "tenant"));
    if let (Some([]), Some(tenant)) = (quotas, tenant) {
        found.push(suspect(
            format!("{namespace} of the tenant {tenant} has no quota"),
            vec![],
            "give it a ResourceQuota: one tenant can take all GPUs",
        ));
    }
    if let (Some([]), Some(_)) = (see.many(Resource::NETWORK_POLICY, Some(namespace), ""), tenant) {
        found.push(suspect(
            format!(
                "{namespace} has no network policy: every pod of the cluster may speak to its pods"
            ),
            vec![],
            "deny by default, and let the tenant's own namespaces in",
        ));
    }
    found.extend(quotas.into_iter().flatten().filter_map(|it| no_defaults(see, namespace, it)));
    if found.is_empty() && quotas.is_some_and(|all| !all.is_empty()) {
        found.push(good(format!("the quotas of {namespace} leave room")));
    }
    found
}

/// Quotas that are used up, or nearly.
pub(super) fn used_up(see: &See<'_>, namespace: &str) -> Vec<Finding> {
    let quotas = see.many(Resource::QUOTA, Some(namespace), "").unwrap_or_default();
    let mut found = vec![];
    for quota in quotas {
        for (resource, hard) in quota["status"]["hard"].as_object().into_iter().flatten() {
            let used = &quota["status"]["used"][resource];
            let (Some(most), Some(now)) = (quantity(hard), quantity(used)) else { continue };
            if most <= 0.0 && now <= 0.0 {
                continue;
            }
            let share = now / most;
            let words = |it: &Value| quote(it.as_str().unwrap_or_default());
            let seen = vec![format!("{resource}: {} of {}", words(used), words(hard))];
            let what =
                |how: &str| format!("the quota {} of {namespace} {how} {resource}", name(quota));
            if share >= 1.0 {
                let advice =
                    "nothing more of it is admitted: end what is not needed, or raise the quota";
                found.push(bad(what("has used up"), seen, advice));
            } else if share >= NEARLY {
                found.push(suspect(
                    what("has nearly used up"),
                    seen,
                    "a larger pod may not fit any more",
                ));
            }
        }
    }
    found
}

/// A quota of limits refuses every pod that names none, and only a LimitRange names them for it.
fn no_defaults(see: &See<'_>, namespace: &str, quota: &Value) -> Option<Finding> {
    let hard = quota["spec"]["hard"].as_object()?;
    let kinds = ["limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    let asked: Vec<&str> = kinds.into_iter().filter(|kind| hard.contains_key(*kind)).collect();
    if asked.is_empty() {
        return None;
    }
    let ranges = see.many(Resource::LIMIT_RANGE, Some(namespace), "")?;
    let gives = |range: &Value| {
        list(range, "/spec/limits")
            .iter()
            .any(|it| text(it, "/type") == "Container" && !it["default"].is_null())
    };
    (!ranges.iter().any(gives)).then(|| {
        suspect(
            format!(
                "pods of {namespace} that do not name their own {} are refused",
                asked.join(" and ")
            ),
            vec![format!("quota {}, and no LimitRange with defaults", name(quota))],
            "add a LimitRange with `default` and `defaultRequest`, or name them in each pod",
        )
    })
}
