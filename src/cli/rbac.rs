//! `medevac rbac`: the least rights that rules need, as manifests of Kubernetes' RBAC, or as a policy of AWS IAM.

use super::{Exit, logs, rulesets, words};
use crate::adapters::{aws, kubernetes};
use crate::cluster::{Custom, Follows};
use crate::model::{Action, kind};
use crate::rules::Ruleset;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rule files, or directories of them.
    #[arg(long, required = true, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Configuration file: what else is followed, where the lease is, whether there are queues.
    #[arg(long, env = "MEDEVAC_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Of the account and of the roles.
    #[arg(long, default_value = "medevac")]
    name: String,
    #[arg(long, default_value = "medevac")]
    namespace: String,
    #[arg(long, value_enum, default_value = "rbac")]
    output: As,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum As {
    /// ServiceAccount, ClusterRole, Role and their bindings, as YAML.
    Rbac,
    /// The rules alone, everywhere and within namespaces, as JSON: for the chart.
    Rules,
    /// A policy document of AWS IAM.
    Iam,
}

pub(super) fn run(args: &Args) -> Exit {
    let rules = match rulesets::sound(&args.rules) {
        Ok(rules) => rules,
        Err(exit) => return exit,
    };
    let settings = match args.config.as_deref().map(logs::read).transpose() {
        Ok(settings) => settings.unwrap_or_default(),
        Err(exit) => return exit,
    };
    let actions: Vec<&Action> = actions(&rules);
    if let As::Iam = args.output {
        let queues: Vec<&str> =
            settings.aws.queues.iter().map(|queue| queue.url.as_str()).collect();
        let named = aws::Named {
            queues: &queues,
            vault: settings.aws.backup.vault.as_deref(),
            role: settings.aws.backup.role.as_deref(),
        };
        let policy = aws::policy(&actions, &named);
        words::say(&serde_json::to_string_pretty(&policy).unwrap_or_default());
        return Exit::Good;
    }
    let objects = settings.kubernetes.objects.iter().map(|of| Custom {
        api_version: of.api_version.clone(),
        kind: of.kind.clone(),
        plural: of.plural.clone(),
    });
    let follows = Follows {
        events: rules.hears(kind::CLUSTER_EVENT),
        objects: if rules.hears(kind::OBJECT) { objects.collect() } else { vec![] },
        ..Follows::default()
    };
    let levels = rules.directory.policies.values().flat_map(|policy| &policy.levels);
    let evidence: BTreeSet<&str> =
        levels.flat_map(|level| &level.evidence).map(String::as_str).collect();
    let rights = kubernetes::rights(&actions, &follows, &evidence);
    let everywhere = role(&rights.everywhere);
    let within: BTreeMap<String, Vec<Value>> =
        rights.within.iter().map(|(namespace, rights)| (namespace.clone(), role(rights))).collect();
    match args.output {
        As::Rules => {
            words::say(&json!({ "everywhere": everywhere, "within": within }).to_string());
        }
        _ => manifests(args, &everywhere, within),
    }
    Exit::Good
}

fn role(rights: &BTreeSet<(String, String, String)>) -> Vec<Value> {
    let rule = |(group, resources, verbs)| json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
    kubernetes::role_rules(rights).into_iter().map(rule).collect()
}

/// Of every step of every rule.
fn actions(rules: &Ruleset) -> Vec<&Action> {
    let all = rules.rules.iter().flat_map(|rule| rule.then.iter().chain(&rule.otherwise));
    all.map(|step| &step.action).collect()
}

fn manifests(args: &Args, everywhere: &[Value], mut within: BTreeMap<String, Vec<Value>>) {
    let (name, namespace) = (&args.name, &args.namespace);
    // The lease, where the configuration keeps it in the cluster: of that name alone.
    within.entry(namespace.clone()).or_default().extend([
        json!({ "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"] }),
        json!({ "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["medevac"], "verbs": ["get", "update"] }),
    ]);
    words::say(&format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {namespace}}}"
    ));
    bound(args, "Cluster", &format!("{{name: {name}}}"), everywhere);
    for (space, rules) in &within {
        bound(args, "", &format!("{{name: {name}, namespace: {space}}}"), rules);
    }
}

/// A role and its binding.
fn bound(args: &Args, scope: &str, metadata: &str, rules: &[Value]) {
    let (name, namespace) = (&args.name, &args.namespace);
    let api = "apiVersion: rbac.authorization.k8s.io/v1";
    words::say(&format!("---\n{api}\nkind: {scope}Role\nmetadata: {metadata}\nrules:"));
    // JSON is YAML: a rule a line.
    rules.iter().for_each(|rule| words::say(&format!("  - {rule}")));
    words::say(&format!(
        "---\n{api}\nkind: {scope}RoleBinding\nmetadata: {metadata}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {scope}Role, name: {name}}}\n\
         subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]"
    ));
}
