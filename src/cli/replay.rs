//! `medevac replay`: a log through other rules; `medevac observed`: what observing rules would have done.

use super::{Exit, client::Daemon, logs, rulesets, words};
use crate::model::chain;
use crate::replay::{Difference, Range, run as through};
use jiff::Timestamp;
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rules to send the log through.
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// From this time on, for example 2026-11-20T00:00:00Z. Default: the beginning of the log.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Up to this time. Default: the end of the log.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Exit 1 where anything is different.
    #[arg(long)]
    expect_same: bool,
    #[command(flatten)]
    log: logs::Where,
    #[arg(long, value_enum, default_value = "text")]
    output: super::check::Output,
}

pub(super) async fn run(args: Args) -> Exit {
    match difference(&args).await {
        Ok(difference) => {
            match args.output {
                super::check::Output::Json => {
                    words::say(&serde_json::to_string(&difference).unwrap_or_default());
                }
                super::check::Output::Text => {
                    let value = serde_json::to_value(&difference).unwrap_or_default();
                    show(&value);
                }
            }
            if args.expect_same && !difference.nothing() { Exit::No } else { Exit::Good }
        }
        Err(exit) => exit,
    }
}

async fn difference(args: &Args) -> Result<Difference, Exit> {
    let rules = rulesets::sound(&args.rules)?;
    let (from, to) = (args.from.unwrap_or(Timestamp::MIN), args.to.unwrap_or(Timestamp::MAX));
    if from >= to {
        return Err(Exit::Usage("--from is not before --to".into()));
    }
    let range = Range { from, to };
    let settings = args.log.settings()?;
    let replayed = match &settings.nats {
        Some(nats) => through::replay(&logs::connect(nats).await?, rules, range).await,
        None => {
            let log = logs::open_existing(&args.log.directory())?;
            through::replay(&log, rules, range).await
        }
    };
    replayed.map_err(|error| Exit::Failed(chain(&error)))
}

#[derive(Debug, clap::Args)]
pub(super) struct Observed {
    /// Only this rule.
    #[arg(long)]
    rule: Option<String>,
    /// How far back.
    #[arg(long, default_value = "1d")]
    back: crate::model::Span,
    #[command(flatten)]
    daemon: Daemon,
    #[arg(long, value_enum, default_value = "text")]
    output: super::check::Output,
}

pub(super) async fn observed(args: Observed) -> Exit {
    let rule = args.rule.iter().map(|rule| format!("&rule={rule}")).collect::<String>();
    let path = format!("/api/v1/observed?back={}{rule}", args.back);
    let answer = match args.daemon.get(&path).await.and_then(super::client::Answer::good) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if args.output == super::check::Output::Json {
        words::say(&answer.to_string());
        return Exit::Good;
    }
    let names = answer["observing"].as_array().cloned().unwrap_or_default();
    if names.is_empty() {
        words::say("no rule only observes");
        return Exit::Good;
    }
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    words::say(&format!("only observing: {}; had they acted:", words::plain(&names.join(", "))));
    show(&answer["difference"]);
    Exit::Good
}

/// Decisions listed for one rule and kind; the rest is counted.
const LISTED: usize = 20;

fn show(difference: &Value) {
    let empty = serde_json::Map::new();
    let rules = difference["rules"].as_object().unwrap_or(&empty);
    let line = |shown: &Value| {
        let text = |key: &str| words::plain(shown[key].as_str().unwrap_or_default());
        format!("{}  {}  {}", text("at"), text("on"), text("verdict"))
    };
    let mut differs = false;
    for (rule, of) in rules {
        let list = |key: &str| of[key].as_array().cloned().unwrap_or_default();
        let (added, removed, changed) = (list("added"), list("removed"), list("changed"));
        if added.is_empty() && removed.is_empty() && changed.is_empty() {
            continue;
        }
        differs = true;
        words::say(&format!(
            "{}: {} added, {} removed, {} changed, {} the same",
            words::plain(rule),
            added.len(),
            removed.len(),
            changed.len(),
            of["same"]
        ));
        added.iter().take(LISTED).for_each(|one| words::say(&format!("  + {}", line(one))));
        removed.iter().take(LISTED).for_each(|one| words::say(&format!("  - {}", line(one))));
        for pair in changed.iter().take(LISTED) {
            let now = words::plain(pair[1]["verdict"].as_str().unwrap_or_default());
            words::say(&format!("  ~ {}\n      now: {now}", line(&pair[0])));
        }
    }
    let pair = |key: &str| (difference[key][0].clone(), difference[key][1].clone());
    let ((nodes, nodes_now), (pages, pages_now)) = (pair("nodes_at_once"), pair("pages"));
    if !differs {
        words::say("every decision is the same");
    }
    words::say(&format!("{} events were read again", difference["events"]));
    words::say(&format!("nodes touched at once: {nodes}, now {nodes_now}"));
    words::say(&format!("calls for people: {pages}, now {pages_now}"));
}
