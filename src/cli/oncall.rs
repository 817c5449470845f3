//! `medevac oncall`: who has which duty, at a moment or for some time from then on.

use super::words::{escape, table, text};
use super::{Exit, check::Output, client::Daemon, rulesets, words};
use crate::clock::{Clock, System};
use crate::model::{Span, duties};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only that duty.
    name: Option<String>,
    /// At that moment, for example 2026-12-24T20:00:00Z. Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// All turns for so long from then on, for example 14d.
    #[arg(long, value_name = "DURATION")]
    next: Option<Span>,
    /// Rule files to look into, instead of asking the daemon.
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    daemon: Daemon,
}

/// Exit 1 where there is no such duty, or nobody has it.
pub(super) async fn run(args: Args) -> Exit {
    let all = match list(&args).await {
        Ok(all) => all,
        Err(exit) => return exit,
    };
    let named = |one: &&Value| args.name.as_ref().is_none_or(|name| text(&one["name"]) == *name);
    let chosen: Vec<&Value> = all.iter().filter(named).collect();
    match args.output {
        Output::Json => words::say(&json!({ "on_call": chosen }).to_string()),
        Output::Text if chosen.is_empty() => {
            let known: Vec<String> = all.iter().map(|one| text(&one["name"])).collect();
            words::say(&match &args.name {
                Some(name) => {
                    format!("There is no duty `{name}`; there are: {}", known.join(", "))
                }
                None => "There is no duty; `on_call` in the rule files makes one.".into(),
            });
        }
        Output::Text => show(&chosen, args.next.is_some()),
    }
    let nobody = chosen.iter().any(|one| one["who"].is_null());
    if nobody || (args.name.is_some() && chosen.is_empty()) { Exit::No } else { Exit::Good }
}

async fn list(args: &Args) -> Result<Vec<Value>, Exit> {
    let at = args.at.unwrap_or_else(|| System.now());
    let next = args.next.unwrap_or_default();
    if !args.rules.is_empty() {
        let rules = rulesets::sound(&args.rules)?;
        return Ok(rules.directory.on_call.values().map(|rota| duties(rota, at, next)).collect());
    }
    let path = format!("/api/v1/oncall?at={}&next={next}", escape(&at.to_string()));
    let body = args.daemon.get(&path).await.and_then(super::client::Answer::good)?;
    Ok(body["on_call"].as_array().cloned().unwrap_or_default())
}

fn who(value: &Value) -> String {
    value.as_str().map_or_else(|| "NOBODY".to_owned(), words::plain)
}

fn show(all: &[&Value], turns: bool) {
    if !turns {
        let row = |one: &&Value| {
            let zone = one["zone"].as_str().unwrap_or("-").to_owned();
            vec![text(&one["name"]), who(&one["who"]), text(&one["at"]), zone]
        };
        return table(&["DUTY", "WHO", "AT", "ZONE"], &all.iter().map(row).collect::<Vec<_>>());
    }
    let mut rows = vec![];
    for one in all {
        for turn in one["duties"].as_array().into_iter().flatten() {
            let (from, until) = (text(&turn["from"]), text(&turn["until"]));
            rows.push(vec![text(&one["name"]), who(&turn["who"]), from, until]);
        }
    }
    table(&["DUTY", "WHO", "FROM", "UNTIL"], &rows);
}
