//! `medevac status`: how everything stands, on one screen.

use super::operate::scope;
use super::words::{moment, table, text};
use super::{Exit, check::Output, client::Daemon, words};
use jiff::Timestamp;
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    daemon: Daemon,
}

/// Exit 1 where something needs a person: a stuck remediation, a daemon that is not ready, nobody active.
pub(super) async fn run(args: Args) -> Exit {
    let asked = args.daemon.get("/api/v1/status").await.and_then(super::client::Answer::good);
    let body = match asked {
        Ok(body) => body,
        Err(exit) => return exit,
    };
    match args.output {
        Output::Json => words::say(&body.to_string()),
        Output::Text => show(&body),
    }
    if concerns(&body).is_empty() { Exit::Good } else { Exit::No }
}

fn list<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body[key].as_array().map_or(&[], Vec::as_slice)
}

/// What a person should look at.
fn concerns(body: &Value) -> Vec<String> {
    let mut all: Vec<String> =
        list(body, "waiting_for").iter().map(|what| format!("not ready: {}", text(what))).collect();
    if body["lease"]["holder"].as_str() == Some("") {
        all.push("no replica is active".into());
    }
    for one in list(body, "remediations") {
        if let Some(why) = one["stuck"].as_str() {
            all.push(format!("the remediation of {} is stuck: {why}", text(&one["target"])));
        }
    }
    all
}

fn line(name: &str, value: impl std::fmt::Display) {
    words::say(&format!("{name:<18} {value}"));
}

fn show(body: &Value) {
    let lease = &body["lease"];
    line(
        "active replica",
        match lease["holder"].as_str() {
            Some(holder) if !holder.is_empty() => {
                format!(
                    "{} (term {}, since {})",
                    words::plain(holder),
                    lease["term"],
                    moment(&lease["since"])
                )
            }
            Some(_) => "none".into(),
            None => "this one alone, or as the Kubernetes Lease says".into(),
        },
    );
    line("log", format!("last position {}", body["last"]));
    let age = |at: &Value| {
        let now: Option<Timestamp> = body["at"].as_str()?.parse().ok();
        let at: Timestamp = at.as_str()?.parse().ok()?;
        Some(now?.duration_since(at).as_secs())
    };
    line(
        "oldest undecided",
        age(&body["oldest_undecided"]).map_or("none".into(), |secs| format!("{secs} s ago")),
    );
    line("dead letters", &body["dead_letters"]);
    let held: usize = list(body, "guards")
        .iter()
        .map(|g| g["holders"].as_object().map_or(0, serde_json::Map::len))
        .sum();
    let tripped = list(body, "guards").iter().filter(|guard| !guard["calm_at"].is_null()).count();
    line("guards", format!("{held} held, {tripped} tripped"));
    paused(body);
    words::say("");
    tables(body);
    let concerns = concerns(body);
    if !concerns.is_empty() {
        words::say("");
        concerns.iter().for_each(|concern| words::say(&format!("! {concern}")));
    }
}

fn paused(body: &Value) {
    for pause in list(body, "pauses") {
        line(
            "paused",
            format!(
                "{} until {}: {}",
                scope(&pause["scope"]),
                moment(&pause["until"]),
                text(&pause["reason"])
            ),
        );
    }
}

fn tables(body: &Value) {
    let row = |room: &Value| {
        vec![text(&room["room"]), room["floor"].to_string(), room["behind"].to_string()]
    };
    let rows: Vec<Vec<String>> = list(body, "rooms").iter().map(row).collect();
    table(&["ROOM", "FLOOR", "BEHIND"], &rows);
    let remediations = list(body, "remediations");
    if !remediations.is_empty() {
        words::say("");
        let rows: Vec<Vec<String>> = remediations.iter().map(remediation).collect();
        table(&["PLAN", "TARGET", "RULE", "STEP", "SINCE", "DEADLINE"], &rows);
    }
}

fn remediation(one: &Value) -> Vec<String> {
    let steps = one["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let open =
        |step: &&Value| !matches!(step[1].as_str(), Some("succeeded" | "skipped" | "waiting"));
    let step = steps.iter().find(open).or_else(|| steps.iter().find(|step| step[1] == "waiting"));
    let step = step.map_or("-".into(), |step| format!("{} {}", text(&step[0]), text(&step[1])));
    let plan: String = text(&one["plan"]).chars().take(10).collect();
    vec![
        plan,
        text(&one["target"]),
        text(&one["rule"]),
        step,
        moment(&one["made_at"]),
        moment(&one["deadline"]),
    ]
}
