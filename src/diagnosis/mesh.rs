//! Linkerd: its control plane and certificates, the proxies, service profiles, and ports that go without mutual TLS.
//! Sources: linkerd.io/2 reference (annotations, ServiceProfile naming, identity events).

use super::facts::{
    See, annotation, bad, good, is_ready, list, name, namespace_of, quote, quoted, state_of,
    suspect, text,
};
use crate::model::{Finding, Resource, Target};
use serde_json::Value;
use std::collections::BTreeSet;

const LINKERD: &str = "linkerd";
const PROXY: &str = "linkerd-proxy";
const PARTS: [(&str, &str); 3] = [
    (
        "linkerd-identity",
        "proxies get no certificates: those that start do not become ready, the others follow within a day",
    ),
    ("linkerd-destination", "proxies do not learn where services are"),
    ("linkerd-proxy-injector", "new pods start without a proxy, or not at all"),
];

pub(super) fn look(see: &See<'_>, subject: &Target) -> Vec<Finding> {
    let mut found = control_plane(see);
    let Some(namespace) = namespace_of(subject) else { return found };
    found.extend(profiles(see, namespace));
    let pods = see.pods(subject).unwrap_or_default();
    let injected = see
        .one(Resource::NAMESPACE, None, namespace)
        .flatten()
        .and_then(|it| annotation(it, "linkerd.io/inject"));
    found.extend(proxies(&pods, injected == Some("enabled") || injected == Some("ingress")));
    found.extend(unencrypted(&pods));
    if found.is_empty() {
        found.push(good(format!("nothing is wrong with the mesh of {namespace}")));
    }
    found
}

fn control_plane(see: &See<'_>) -> Vec<Finding> {
    let Some(pods) = see.many(Resource::POD, Some(LINKERD), "") else { return vec![] };
    if pods.is_empty() {
        return vec![suspect(
            format!("there is no control plane in the namespace {LINKERD}"),
            vec![],
            "install it, or name the namespace it is in; then run `linkerd check`",
        )];
    }
    let mut found: Vec<Finding> = pods
        .iter()
        .filter(|pod| !is_ready(pod))
        .map(|pod| {
            let part = PARTS.iter().find(|(part, _)| name(pod).starts_with(part));
            let advice =
                part.map_or("look at its log; `linkerd check` says more", |(_, advice)| *advice);
            bad("a part of Linkerd's control plane is not ready", vec![state_of(pod)], advice)
        })
        .collect();
    for (part, why) in
        PARTS.iter().filter(|(part, _)| !pods.iter().any(|pod| name(pod).starts_with(part)))
    {
        found.push(bad(format!("{part} does not run"), vec![], why));
    }
    let told = see.events(LINKERD, "Deployment", "linkerd-identity");
    found.extend(told.iter().find(|it| it.reason == "IssuerValidationFailed").map(|it| {
        bad(
            "the issuer's certificate is not good",
            vec![quoted(it)],
            "rotate it: `linkerd check --proxy` says which of anchor and issuer has expired",
        )
    }));
    if found.is_empty() {
        found.push(good("Linkerd's control plane is ready"));
    }
    found
}

/// A profile is found by the full name of its service: under any other one it is there, and nobody heeds it.
fn profiles(see: &See<'_>, namespace: &str) -> Vec<Finding> {
    let Some(all) = see.many(Resource::SERVICE_PROFILE, Some(namespace), "") else { return vec![] };
    let mut found = vec![];
    for profile in all {
        let own = name(profile);
        let service = own.split_once('.').filter(|(_, rest)| rest.contains(".svc."));
        match service {
            None => found.push(bad(
                format!("the ServiceProfile {own} is heeded by nobody"),
                vec![format!("its name is not that of a service: {own}.{namespace}.svc.cluster.local would be")],
                "make it under the full name of its service; timeouts and retries of it do not hold",
            )),
            // Its client's own profile for a service elsewhere is a good one.
            Some((service, rest)) if rest.starts_with(&format!("{namespace}.")) => {
                if let Some(None) = see.one(Resource::SERVICE, Some(namespace), service) {
                    found.push(bad(format!("the ServiceProfile {own} is of no service"), vec![], "mend its name, or take it away"));
                }
            }
            Some(_) => {}
        }
        let vague = list(profile, "/spec/routes").iter().filter(|it| it["condition"].is_null());
        let vague: Vec<String> = vague.map(|it| quote(text(it, "/name"))).take(5).collect();
        if !vague.is_empty() {
            found.push(bad(
                format!("routes of the ServiceProfile {own} have no condition"),
                vague,
                "a route matches by `condition: {method, pathRegex}`; its name is only a name",
            ));
        }
    }
    found
}

fn has_proxy(pod: &Value) -> bool {
    let both = list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers"));
    both.into_iter().any(|it| it["name"] == PROXY)
}

fn proxies(pods: &[&Value], injected: bool) -> Vec<Finding> {
    let mut found = vec![];
    let own = |pod: &Value| annotation(pod, "linkerd.io/inject").map(str::to_owned);
    let should = |pod: &&&Value| match own(pod).as_deref() {
        Some("disabled") => false,
        Some("enabled" | "ingress") => true,
        _ => injected && pod["spec"]["hostNetwork"] != true,
    };
    let without: Vec<String> = pods
        .iter()
        .filter(should)
        .filter(|pod| !has_proxy(pod))
        .map(|pod| name(pod).to_owned())
        .take(5)
        .collect();
    if !without.is_empty() {
        found.push(bad(
            "pods are not in the mesh",
            without,
            "they were made before the injector ran, or while it did not: restart their workload",
        ));
    }
    let ill: Vec<String> = pods
        .iter()
        .filter(|pod| has_proxy(pod))
        .filter(|pod| {
            list(pod, "/status/containerStatuses")
                .iter()
                .any(|it| it["name"] == PROXY && it["ready"] == false)
        })
        .map(|pod| state_of(pod))
        .take(5)
        .collect();
    if !ill.is_empty() {
        found.push(bad("proxies are not ready", ill, "a proxy is ready once it has its certificate: look at linkerd-identity, and at the proxy's log"));
    }
    let versions: BTreeSet<&str> =
        pods.iter().filter_map(|pod| annotation(pod, "linkerd.io/proxy-version")).collect();
    if versions.len() > 1 {
        found.push(suspect(
            "the pods have proxies of several versions",
            versions.into_iter().map(quote).collect(),
            "restart the workloads after an upgrade",
        ));
    }
    found
}

fn unencrypted(pods: &[&Value]) -> Option<Finding> {
    const SKIPS: [&str; 2] =
        ["config.linkerd.io/skip-inbound-ports", "config.linkerd.io/skip-outbound-ports"];
    let skips = |pod: &&Value| {
        let of = SKIPS.iter().find_map(|key| annotation(pod, key));
        of.map(|ports| quote(&format!("{}: {ports}", name(pod))))
    };
    let all: Vec<String> = pods.iter().filter_map(skips).take(5).collect();
    (!all.is_empty()).then(|| suspect("on some ports there is no mutual TLS: they pass the proxy by", all, "where it is not wanted, take the annotation away; for databases and the like take opaque ports"))
}
