//! A policy over rules: what a place asks of every rule, whoever writes it.

use super::condition::Condition;
use super::diagnostic::{Code, Diagnostic};
use super::people::Secrets;
use super::rule::Rule;
use super::yaml::{Kind, Node};
use super::{Ruleset, Source};
use crate::model::{Action, Mode, Target, kind};
use std::{collections::BTreeSet, sync::Arc};

/// What is asked. Nothing, by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Verbs that a person has to approve, each time.
    pub approval: Vec<String>,
    /// Namespaces whose workloads no step may touch.
    pub untouchable: Vec<String>,
    /// Whatever takes something away has a guard.
    pub guarded: bool,
    /// Whatever takes something away has a test in which it acts.
    pub tested: bool,
}

impl Policy {
    /// What a production cluster should ask.
    pub fn production() -> Policy {
        Policy {
            approval: vec!["terminate_instance".into()],
            untouchable: vec!["kube-system".into()],
            guarded: true,
            tested: true,
        }
    }

    /// What of these rules it does not allow.
    pub fn faults(&self, rules: &Ruleset) -> Vec<Diagnostic> {
        let acted: BTreeSet<&str> = rules.tests.iter().flat_map(acted).collect();
        let of = |rule: &Rule| {
            let destroys = rule.then.iter().any(|step| step.action.destructive());
            let mut told = vec![];
            if rule.mode == Mode::Observe {
                return told;
            }
            if self.guarded && destroys && rule.guards.is_empty() && !rule.goes_anyway() {
                told.push(("takes things away and has no guard", "name a `guard`"));
            }
            if self.tested && destroys && !acted.contains(rule.name.as_str()) {
                let hint = "write a test that expects `acts` of it, or let it observe";
                told.push(("takes things away and no test shows it acting", hint));
            }
            let asks = |verb: &str| self.approval.iter().any(|wanted| wanted == verb);
            let mut steps = rule.then.iter().chain(&rule.otherwise);
            // Nobody has to be asked whether a machine may be given back that is being taken away.
            let given =
                |action: &Action| *action == Action::TerminateInstance && rule.goes_anyway();
            if steps.any(|step| asks(step.action.verb()) && !given(&step.action)) {
                told.push(("has a step that needs approval", "let it observe"));
            }
            if self.untouchable.iter().any(|space| touches(rule, space)) {
                let hint = "add a clause like `workload.namespace != \"kube-system\"`";
                told.push(("may touch a workload in a namespace that no step may touch", hint));
            }
            told
        };
        let fault = |rule: &Rule, (what, hint): (&str, &str)| {
            let message = format!("the policy: the rule `{}` {what}", rule.name);
            Diagnostic::new(Code::Policy, rule.place.clone(), message).hint(hint)
        };
        let told = |rule| of(rule).into_iter().map(move |it| fault(rule, it));
        rules.rules.iter().flat_map(told).collect()
    }
}

impl Rule {
    /// It only hears of machines that go, whatever it does.
    pub(super) fn goes_anyway(&self) -> bool {
        self.when.iter().all(|kind| kind::GOING.contains(&kind.as_str()))
    }
}

/// Whether a step may act on a workload in that namespace.
fn touches(rule: &Rule, namespace: &str) -> bool {
    rule.then.iter().chain(&rule.otherwise).any(|step| match &step.action {
        Action::Restart { workload } | Action::Scale { workload, .. } => match workload {
            Some(named) => {
                matches!(named.parse(), Ok(Target::Workload { namespace: it, .. }) if it == namespace)
            }
            // Whatever the event is about: only a clause can keep that namespace out.
            None => !rule.condition.as_ref().is_some_and(|it| excludes(it, namespace)),
        },
        _ => false,
    })
}

fn excludes(condition: &Condition, namespace: &str) -> bool {
    ["workload.namespace", "pod.namespace"].iter().any(|path| condition.rules_out(path, namespace))
}

/// The rules that a test expects to act.
fn acted(test: &Node) -> Vec<&str> {
    let Some(Node { kind: Kind::List(wanted), .. }) = test.value("expect") else { return vec![] };
    wanted
        .iter()
        .filter_map(|item| match &item.value("acts")?.kind {
            Kind::Scalar { text, .. } => Some(text.as_str()),
            Kind::List(_) | Kind::Map(_) => None,
        })
        .collect()
}

/// [`super::load`], under a policy.
///
/// # Errors
/// Every fault of every file; where there is none, everything that the policy does not allow.
pub fn load_under(
    policy: &Policy,
    sources: &[Arc<Source>],
    secrets: Secrets<'_>,
) -> Result<Ruleset, Vec<Diagnostic>> {
    let rules = super::load(sources, secrets)?;
    let faults = policy.faults(&rules);
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}
