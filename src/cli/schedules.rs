//! `medevac schedules`: what recurs, and when it runs next.

use super::words::{escape, moment, table, text};
use super::{Exit, check::Output, client::Daemon, rulesets, words};
use crate::clock::{Clock, System};
use crate::model::shown;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only that one.
    name: Option<String>,
    /// How many of the next runs.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    next: u16,
    /// From then on, for example 2026-03-29T00:00:00Z. Default: now.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Rule files to look into, instead of asking the daemon.
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    daemon: Daemon,
}

/// Exit 1 where there is no such schedule.
pub(super) async fn run(args: Args) -> Exit {
    let from = args.from.unwrap_or_else(|| System.now());
    let all = match list(&args, from).await {
        Ok(all) => all,
        Err(exit) => return exit,
    };
    let named = |one: &&Value| args.name.as_ref().is_none_or(|name| text(&one["name"]) == *name);
    let chosen: Vec<&Value> = all.iter().filter(named).collect();
    if args.output == Output::Json {
        words::say(&json!({ "schedules": chosen }).to_string());
    } else if let (Some(name), true) = (&args.name, chosen.is_empty()) {
        let known: Vec<String> = all.iter().map(|one| text(&one["name"])).collect();
        words::say(&format!("There is no schedule `{name}`; there are: {}", known.join(", ")));
    } else if chosen.is_empty() {
        words::say("Nothing is scheduled.");
    } else {
        show(&chosen);
    }
    if args.name.is_some() && chosen.is_empty() { Exit::No } else { Exit::Good }
}

async fn list(args: &Args, from: Timestamp) -> Result<Vec<Value>, Exit> {
    if !args.rules.is_empty() {
        let rules = rulesets::sound(&args.rules)?;
        let one = |schedule| shown(schedule, None, from, args.next.into());
        return Ok(rules.schedules.iter().map(one).collect());
    }
    let path = format!("/api/v1/schedules?next={}&from={}", args.next, escape(&from.to_string()));
    let body = args.daemon.get(&path).await.and_then(super::client::Answer::good)?;
    Ok(body["schedules"].as_array().cloned().unwrap_or_default())
}

fn show(all: &[&Value]) {
    let mut rows = vec![];
    for one in all {
        let next = one["next"].as_array().cloned().unwrap_or_default();
        let zone = one["zone"].as_str().map_or("-".to_owned(), str::to_owned);
        let last =
            if one["last_run"].is_null() { "-".to_owned() } else { moment(&one["last_run"]) };
        let first = next.first().map_or("never".to_owned(), text);
        rows.push(vec![text(&one["name"]), text(&one["schedule"]), zone, last, first]);
        for later in next.iter().skip(1) {
            let none = String::new;
            rows.push(vec![none(), none(), none(), none(), text(later)]);
        }
    }
    table(&["NAME", "SCHEDULE", "ZONE", "LAST RUN", "NEXT"], &rows);
}
