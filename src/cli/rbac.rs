//! `medevac rbac`: the least rights that rules need, as manifests of Kubernetes' RBAC, or as a policy of AWS IAM.

use super::{Exit, logs, rulesets, words};
use crate::adapters::{aws, kubernetes};
use crate::cluster::{Custom, Follows};
use crate::model::{Action, kind};
use crate::rules::Ruleset;
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::PathBuf};

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
    /// The rules of the ClusterRole alone, as JSON: for the chart.
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
        let policy = aws::policy(&actions, !settings.aws.queues.is_empty());
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
    let rights = kubernetes::rights(actions.into_iter(), &follows, &evidence);
    let rules: Vec<Value> = kubernetes::role_rules(&rights)
        .into_iter()
        .map(|(group, resources, verbs)| {
            json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
        })
        .collect();
    match args.output {
        As::Rules => words::say(&json!(rules).to_string()),
        _ => manifests(args, &rules),
    }
    Exit::Good
}

/// Of every step of every rule.
fn actions(rules: &Ruleset) -> Vec<&Action> {
    let all = rules.rules.iter().flat_map(|rule| rule.then.iter().chain(&rule.otherwise));
    all.map(|step| &step.action).collect()
}

fn manifests(args: &Args, rules: &[Value]) {
    let (name, namespace) = (&args.name, &args.namespace);
    let meta = json!({ "name": name });
    let own = json!({ "name": name, "namespace": namespace });
    let subject = json!([{ "kind": "ServiceAccount", "name": name, "namespace": namespace }]);
    let role =
        |kind: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    let api = "rbac.authorization.k8s.io/v1";
    // The lease, where the configuration keeps it in the cluster: in its own namespace, and of that name alone.
    let lease = json!([
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"] },
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["medevac"], "verbs": ["get", "update"] },
    ]);
    for object in [
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": own }),
        json!({ "apiVersion": api, "kind": "ClusterRole", "metadata": meta, "rules": rules }),
        json!({ "apiVersion": api, "kind": "ClusterRoleBinding", "metadata": meta, "roleRef": role("ClusterRole"), "subjects": subject }),
        json!({ "apiVersion": api, "kind": "Role", "metadata": own, "rules": lease }),
        json!({ "apiVersion": api, "kind": "RoleBinding", "metadata": own, "roleRef": role("Role"), "subjects": subject }),
    ] {
        // JSON is YAML; a document each.
        words::say("---");
        words::say(&serde_json::to_string_pretty(&object).unwrap_or_default());
    }
}
