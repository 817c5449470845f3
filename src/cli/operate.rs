//! `medevac guards`, `pause` and `resume`.

use super::words::{escape, moment, table, text};
use super::{Exit, check::Output, client::Daemon, words};
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    daemon: Daemon,
}

/// Who holds leave from which guard, what has tripped, and what people have paused.
pub(super) async fn guards(args: Args) -> Exit {
    let body = match args.daemon.get("/api/v1/guards").await.and_then(super::client::Answer::good) {
        Ok(body) => body,
        Err(exit) => return exit,
    };
    if args.output == Output::Json {
        words::say(&body.to_string());
        return Exit::Good;
    }
    let guards = body["guards"].as_array().cloned().unwrap_or_default();
    let pauses = body["pauses"].as_array().cloned().unwrap_or_default();
    if guards.is_empty() && pauses.is_empty() {
        words::say("No guard is held, none has tripped, nothing is paused.");
        return Exit::Good;
    }
    let rows: Vec<Vec<String>> = guards.iter().flat_map(rows_of).collect();
    if !rows.is_empty() {
        table(&["GUARD", "KEY", "STATE", "HOLDER", "TARGET", "RULE", "SINCE"], &rows);
    }
    if !pauses.is_empty() {
        if !rows.is_empty() {
            words::say("");
        }
        let rows: Vec<Vec<String>> = pauses.iter().map(pause_row).collect();
        table(&["PAUSE", "SCOPE", "UNTIL", "BY", "REASON"], &rows);
    }
    Exit::Good
}

fn rows_of(guard: &Value) -> Vec<Vec<String>> {
    let key = text(&guard["key"]);
    let key = if key.is_empty() { "-".to_owned() } else { key };
    let state = match (guard["calm_at"].as_str(), guard["probe"].as_str()) {
        (Some(_), Some(_)) => "half open".to_owned(),
        (Some(_), None) => format!("tripped, until {}", moment(&guard["calm_at"])),
        (None, _) => "whole".to_owned(),
    };
    let row = |holder: String, value: &Value| {
        let (target, rule) = (text(&value["target"]), text(&value["rule"]));
        vec![
            text(&guard["guard"]),
            key.clone(),
            state.clone(),
            holder,
            target,
            rule,
            moment(&value["since"]),
        ]
    };
    let holders = guard["holders"].as_object().cloned().unwrap_or_default();
    if holders.is_empty() {
        return vec![row("-".into(), &Value::Null)];
    }
    let short = |plan: &str| plan.chars().take(10).collect::<String>();
    holders.iter().map(|(plan, holder)| row(short(plan), holder)).collect()
}

/// `everything`, `pool a`: as a person says it.
pub(super) fn scope(value: &Value) -> String {
    match value {
        Value::Object(one) => one
            .iter()
            .next()
            .map_or_else(String::new, |(kind, name)| format!("{kind} {}", text(name))),
        other => text(other),
    }
}

fn pause_row(pause: &Value) -> Vec<String> {
    let (id, until) = (text(&pause["id"]), moment(&pause["until"]));
    vec![id, scope(&pause["scope"]), until, text(&pause["by"]), text(&pause["reason"])]
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["all", "tenant", "pool", "rule"])))]
pub(super) struct Pause {
    /// Everything that changes something. Recovery, uncordoning and calling people go on.
    #[arg(long)]
    all: bool,
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// How long, for example 2h. It ends by itself; 14d at most.
    #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
    lasts: crate::model::Span,
    /// Who is called at night will read it.
    #[arg(long)]
    reason: String,
    /// Default: the user of this shell.
    #[arg(long, env = "USER")]
    by: String,
    #[command(flatten)]
    daemon: Daemon,
}

pub(super) async fn pause(args: Pause) -> Exit {
    let scope = match (&args.tenant, &args.pool, &args.rule) {
        (Some(name), _, _) => json!({ "tenant": name }),
        (_, Some(name), _) => json!({ "pool": name }),
        (_, _, Some(name)) => json!({ "rule": name }),
        (None, None, None) => json!("everything"),
    };
    let lasts = args.lasts.to_string();
    let body = json!({ "scope": scope, "reason": args.reason, "by": args.by, "for": lasts });
    let body = body.to_string().into_bytes();
    let sent = args.daemon.post("/api/v1/pauses", "application/json", body).await;
    match sent.and_then(super::client::Answer::good) {
        Ok(answer) => {
            let pause = &answer["pause"];
            words::say(&format!(
                "{}: {} is paused until {}; `medevac resume {}` ends it",
                text(&pause["id"]),
                self::scope(&pause["scope"]),
                moment(&pause["until"]),
                text(&pause["id"])
            ));
            Exit::Good
        }
        Err(exit) => exit,
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// The pause, for example pause-3f9a1c20; `medevac guards` lists them.
    pause: String,
    /// Default: the user of this shell.
    #[arg(long, env = "USER", default_value = "somebody")]
    by: String,
    #[command(flatten)]
    daemon: Daemon,
}

pub(super) async fn resume(args: Resume) -> Exit {
    let path = format!("/api/v1/pauses/{}?by={}", escape(&args.pause), escape(&args.by));
    match args.daemon.delete(&path).await.and_then(super::client::Answer::good) {
        Ok(_) => {
            words::say(&format!("{} has ended", args.pause));
            Exit::Good
        }
        Err(exit) => exit,
    }
}
