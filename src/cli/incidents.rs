//! `medevac incidents`, `ack` and `resolve`.

use super::words::{escape, text};
use super::{Exit, check::Output, client::Daemon, words};
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show this one, with its whole causal chain.
    id: Option<String>,
    /// Only those that are open, acknowledged or resolved.
    #[arg(long)]
    state: Option<String>,
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Debug, clap::Args)]
pub(super) struct Answer {
    /// The incident, for example inc-3f9a1c20de.
    id: String,
    /// Who answers. Default: the user of this shell.
    #[arg(long, env = "USER")]
    by: Option<String>,
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Debug, clap::Args)]
pub(super) struct Snooze {
    /// How long nobody is called, for example 2h; 7d at most.
    #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
    lasts: crate::model::Span,
    #[command(flatten)]
    answer: Answer,
}

pub(super) async fn snooze(args: Snooze) -> Exit {
    let Snooze { lasts, answer } = args;
    let body = json!({ "by": answer.by, "note": answer.note, "for": lasts });
    send("snooze", answer, body).await
}

pub(super) async fn run(args: Args) -> Exit {
    let path = match (&args.id, &args.state) {
        (Some(id), _) => format!("/api/v1/incidents/{}", escape(id)),
        (None, Some(state)) => {
            format!("/api/v1/incidents?limit={}&state={}", args.limit, escape(state))
        }
        (None, None) => format!("/api/v1/incidents?limit={}", args.limit),
    };
    let body = match args.daemon.get(&path).await.and_then(super::client::Answer::good) {
        Ok(body) => body,
        Err(exit) => return exit,
    };
    match (args.output, &args.id) {
        (Output::Json, _) => words::say(&body.to_string()),
        (Output::Text, Some(_)) => chain(&body),
        (Output::Text, None) => list(&body),
    }
    Exit::Good
}

fn list(body: &Value) {
    let incidents = body["incidents"].as_array().cloned().unwrap_or_default();
    if incidents.is_empty() {
        return words::say("No incidents.");
    }
    words::say(&format!(
        "{:<15} {:<13} {:<9} {:<20} {:<32} NOTE",
        "INCIDENT", "STATE", "SEVERITY", "OPENED", "TARGET"
    ));
    for one in incidents {
        let opened: String = text(&one["opened_at"]).chars().take(19).collect();
        words::say(&format!(
            "{:<15} {:<13} {:<9} {:<20} {:<32} {}",
            text(&one["id"]),
            text(&one["state"]),
            text(&one["severity"]),
            opened,
            text(&one["target"]),
            text(&one["note"])
        ));
    }
}

fn chain(body: &Value) {
    let incident = &body["incident"];
    let line = |name: &str, value: String| words::say(&format!("{name:<10} {value}"));
    line("incident", text(&incident["id"]));
    line("title", text(&incident["title"]));
    line("target", text(&incident["target"]));
    line("state", format!("{} ({})", text(&incident["state"]), text(&incident["severity"])));
    line("note", text(&incident["note"]));
    words::say("");
    for link in body["chain"].as_array().into_iter().flatten() {
        let at: String = text(&link["at"]).chars().skip(11).take(12).collect();
        words::say(&format!(
            "{at}  {:<9}  {}",
            text(&link["stream"]),
            crate::model::describe(&link["record"])
        ));
    }
}

pub(super) async fn answer(verb: &str, args: Answer) -> Exit {
    let body = json!({ "by": args.by, "note": args.note });
    send(verb, args, body).await
}

async fn send(verb: &str, args: Answer, body: Value) -> Exit {
    let body = body.to_string();
    let path = format!("/api/v1/incidents/{}/{verb}", escape(&args.id));
    match args
        .daemon
        .post(&path, "application/json", body.into_bytes())
        .await
        .and_then(super::client::Answer::good)
    {
        Ok(_) => {
            words::say(&format!("{}: {verb} is recorded", args.id));
            Exit::Good
        }
        Err(exit) => exit,
    }
}
