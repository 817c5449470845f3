//! `medevac explain`: why a rule did, or did not, what it did about one event.

use super::{Exit, client::Daemon, logs, rulesets, words};
use crate::clock::{Clock, System};
use crate::engine::{Explanation, State, explain};
use crate::log::{Kv, Log, LogError};
use crate::model::chain;
use crate::replay::run;
use crate::rules::Ruleset;
use crate::simulation::{Practice, World};
use crate::sources::preview;
use std::{io::Read, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file with an event (an Alertmanager body, a CloudEvent, a record of the log; `-` is standard input), or the
    /// id or position of a recorded event.
    event: String,
    /// Only this rule.
    #[arg(long)]
    rule: Option<String>,
    /// Explain by these rule files instead of asking the daemon. Without a log nothing has happened before.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    log: logs::Where,
    #[command(flatten)]
    daemon: Daemon,
    #[arg(long, value_enum, default_value = "text")]
    output: super::check::Output,
}

pub(super) async fn run(args: Args) -> Exit {
    let explained = if args.rules.is_empty() { asked(&args).await } else { own(&args).await };
    let all = match explained {
        Ok(all) => all,
        Err(exit) => return exit,
    };
    for one in &all {
        match args.output {
            super::check::Output::Json => {
                words::say(&serde_json::to_string(one).unwrap_or_default());
            }
            super::check::Output::Text => show(one),
        }
    }
    Exit::Good
}

/// The event's bytes, where it is a file.
fn bytes(event: &str) -> Result<Option<Vec<u8>>, Exit> {
    let mut bytes = vec![];
    let path = PathBuf::from(event);
    let read = if event == "-" {
        std::io::stdin().read_to_end(&mut bytes)
    } else if path.exists() {
        std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes))
    } else if event.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(None);
    } else {
        return Err(Exit::Usage(format!("there is no file {event}, and no id looks like this")));
    };
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(error) => Err(Exit::Usage(format!("cannot read {event}: {error}"))),
    }
}

/// Asks the daemon.
async fn asked(args: &Args) -> Result<Vec<Explanation>, Exit> {
    let mut query = vec![];
    let safe = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if let Some(rule) = &args.rule {
        if !safe(rule) {
            return Err(Exit::Usage(format!("`{rule}` is not the name of a rule")));
        }
        query.push(format!("rule={rule}"));
    }
    let body = bytes(&args.event)?;
    if body.is_none() {
        query.push(format!("event={}", args.event));
    }
    let path = format!("/api/v1/explain?{}", query.join("&"));
    let body = body.unwrap_or_default();
    let answer = args.daemon.post(&path, "application/json", body).await?.good()?;
    serde_json::from_value(answer["explanations"].clone())
        .map_err(|error| Exit::Failed(format!("the daemon's answer cannot be read: {error}")))
}

/// Explains by rule files, over a log where one is given.
async fn own(args: &Args) -> Result<Vec<Explanation>, Exit> {
    let rules = rulesets::sound(&args.rules)?;
    if let Some(name) = args.rule.as_ref().filter(|name| rules.named(name).is_none()) {
        return Err(Exit::Usage(format!("there is no rule `{name}`")));
    }
    let settings = args.log.settings()?;
    match (&settings.nats, args.log.given()) {
        (Some(nats), _) => on(args, &rules, Some(logs::connect(nats).await?)).await,
        (None, true) => {
            let log = logs::open_existing(&args.log.directory())?;
            on(args, &rules, Some(log)).await
        }
        (None, false) => on(args, &rules, None::<crate::adapters::embedded::Embedded>).await,
    }
}

async fn on<L: Log + Kv>(
    args: &Args,
    rules: &Ruleset,
    log: Option<L>,
) -> Result<Vec<Explanation>, Exit> {
    let failed = |error: LogError| Exit::Failed(chain(&error));
    let rule = args.rule.as_deref();
    let now = System.now();
    let Some(body) = bytes(&args.event)? else {
        let Some(log) = log else {
            let why = "an id is looked up in a log: give --data-dir or --nats, or ask the daemon";
            return Err(Exit::Usage(why.into()));
        };
        let found = run::find(&log, rules, &args.event).await.map_err(failed)?;
        let found = found.ok_or_else(|| Exit::Failed("the log has no such event".into()))?;
        let mut told = explain(rules, &found.state, found.seq, &found.event, found.at, rule);
        told.recorded = found.recorded;
        return Ok(vec![told]);
    };
    let view = Practice::new(World::default(), System);
    let events = preview(&body, &view, None, now).map_err(|why| Exit::Usage(why.to_string()))?;
    let state = match log {
        Some(log) => run::latest(&log, rules).await.map_err(failed)?,
        None => State::default(),
    };
    Ok(events.iter().map(|event| explain(rules, &state, 0, event, now, rule)).collect())
}

fn show(one: &Explanation) {
    let plain = |text: &str| words::plain(text);
    words::say(&format!("{} on {}  ({})", plain(&one.kind), plain(&one.subject), one.event));
    if one.news != "other" {
        words::say(&format!("this alert: {}", one.news));
    }
    for (rule, verdict) in &one.recorded {
        words::say(&format!("decided then: {}: {}", plain(rule), plain(verdict)));
    }
    for of in &one.rules {
        let mode = format!("{:?}", of.mode).to_lowercase();
        words::say(&format!("\n{}  ({mode}; hears it as {})", of.rule, of.heard_as));
        for clause in &of.clauses {
            let sign = match clause.verdict.as_str() {
                "holds" => "+",
                "fails" => "-",
                _ => "?",
            };
            let values: Vec<String> =
                clause.values.iter().map(|(path, value)| format!("{path} = {value}")).collect();
            words::say(&format!("  {sign} {}", plain(&clause.text)));
            if !values.is_empty() {
                words::say(&format!("      {}", plain(&values.join(", "))));
            }
            if sign == "?" {
                words::say(&format!("      {}", plain(&clause.verdict)));
            }
        }
        let more = of.words.iter().map(|(word, text)| format!("{word}: {text}"));
        let more = more.chain(of.throttle.iter().map(|text| format!("throttle: {text}")));
        let more = more.chain(of.guards.iter().map(|text| format!("guard {text}")));
        more.for_each(|line| words::say(&format!("    {}", plain(&line))));
        words::say(&format!("  => {}", plain(&of.verdict)));
    }
    if one.others > 0 {
        words::say(&format!("\n{} rules are about events of other types.", one.others));
    }
}
