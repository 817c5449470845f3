//! `medevac diagnose`: what is wrong with something, by looks that change nothing. Straight at the cluster: it needs no
//! daemon, and no more rights than to read.

use super::{Exit, check::Output, words};
use crate::adapters::kubernetes;
use crate::diagnosis::Diagnosis;
use crate::model::{Finding, Health, Target, Topic};
use futures_util::future::join_all;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to look into.
    #[arg(value_parser = topic)]
    topic: Topic,
    /// What it is about: node/NAME, pod/NAMESPACE/NAME, deployment/NAMESPACE/NAME, namespace/NAME, tenant/NAME or
    /// claim/NAMESPACE/NAME.
    target: Target,
    /// Default: KUBECONFIG, then the pod's own account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

fn topic(written: &str) -> Result<Topic, String> {
    let known = || Topic::ALL.map(|(word, _)| word).join(", ");
    let found = Topic::ALL.iter().find(|(word, _)| *word == written).map(|(_, topic)| *topic);
    found.ok_or_else(|| format!("one of {}", known()))
}

/// Exit 1 where something is bad, or could not be looked at.
pub(super) async fn run(args: Args) -> Exit {
    let client = match kubernetes::connect(args.kubeconfig.as_deref()).await {
        Ok(client) => client,
        Err(error) => return Exit::Usage(crate::model::chain(&error)),
    };
    let mut diagnosis = Diagnosis::new(args.topic, args.target.clone());
    while !diagnosis.is_over() {
        let asked = diagnosis.questions().into_iter();
        let answers = asked.map(|(tag, question)| {
            let client = client.clone();
            async move { (tag, kubernetes::ask(&client, &question).await) }
        });
        for (tag, answer) in join_all(answers).await {
            diagnosis.answer(&tag, answer);
        }
    }
    let findings = diagnosis.findings();
    match args.output {
        Output::Json => {
            let all = json!({ "topic": args.topic, "target": args.target, "findings": findings });
            words::say(&all.to_string());
        }
        Output::Text => findings.iter().for_each(show),
    }
    let wrong = |it: &Finding| matches!(it.health, Health::Bad | Health::Unknown);
    if findings.iter().any(wrong) { Exit::No } else { Exit::Good }
}

fn show(finding: &Finding) {
    words::say(&format!("{:<8} {}", finding.health.word(), words::plain(&finding.what)));
    for line in &finding.evidence {
        words::say(&format!("         seen: {}", words::plain(line)));
    }
    if !finding.advice.is_empty() {
        words::say(&format!("         do:   {}", finding.advice));
    }
}
