//! `medevac dead-letters`: what could not be used, and what becomes of it.

use super::words::{escape, moment, table, text};
use super::{Exit, check::Output, client::Daemon, words};
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The newest first.
    List {
        /// Those that were requeued or dropped, too.
        #[arg(long)]
        all: bool,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// One, with the whole text that arrived.
    Show { seq: u64 },
    /// Take it again, as if it came now. One that still cannot be used stays.
    Requeue {
        seq: u64,
        /// Default: the user of this shell.
        #[arg(long, env = "USER", default_value = "somebody")]
        by: String,
    },
    /// It is not needed. It stays in the log, and is listed no more.
    Drop {
        seq: u64,
        /// Default: the user of this shell.
        #[arg(long, env = "USER", default_value = "somebody")]
        by: String,
    },
}

pub(super) async fn run(args: Args) -> Exit {
    match answer(&args).await {
        Ok(()) => Exit::Good,
        Err(exit) => exit,
    }
}

async fn answer(args: &Args) -> Result<(), Exit> {
    let path = "/api/v1/dead-letters";
    match &args.command {
        Command::List { all, limit, output } => {
            let body = args.daemon.get(&format!("{path}?limit={limit}&all={all}")).await?.good()?;
            match output {
                Output::Json => words::say(&body.to_string()),
                Output::Text => list(&body),
            }
        }
        Command::Show { seq } => {
            let body = args.daemon.get(&format!("{path}/{seq}")).await?.good()?;
            for (name, value) in
                [("source", &body["source"]), ("reason", &body["reason"]), ("at", &body["at"])]
            {
                words::say(&format!("{name:<10} {}", text(value)));
            }
            if !body["became"].is_null() {
                words::say(&format!("{:<10} {}", "became", fate(&body["became"])));
            }
            words::say("");
            // Outside text, line by line: no control character reaches the terminal.
            body["body"]
                .as_str()
                .unwrap_or_default()
                .lines()
                .for_each(|line| words::say(&words::plain(line)));
        }
        Command::Requeue { seq, by } => {
            let path = format!("{path}/{seq}/requeue?by={}", escape(by));
            args.daemon.post(&path, "application/json", vec![]).await?.good()?;
            words::say(&format!("{seq} is taken again"));
        }
        Command::Drop { seq, by } => {
            let path = format!("{path}/{seq}/drop?by={}", escape(by));
            args.daemon.post(&path, "application/json", vec![]).await?.good()?;
            words::say(&format!("{seq} is dropped"));
        }
    }
    Ok(())
}

fn fate(became: &Value) -> String {
    match became.is_null() {
        true => "-".into(),
        false => format!("{} by {}", text(&became["is"]), text(&became["by"])),
    }
}

fn list(body: &Value) {
    let letters = body["dead_letters"].as_array().cloned().unwrap_or_default();
    if letters.is_empty() {
        return words::say("No dead letters.");
    }
    let row = |one: &Value| {
        let seq = one["seq"].as_u64().unwrap_or_default().to_string();
        let (at, source) = (moment(&one["at"]), text(&one["source"]));
        vec![seq, at, source, fate(&one["became"]), text(&one["reason"])]
    };
    let rows: Vec<Vec<String>> = letters.iter().map(row).collect();
    table(&["SEQ", "AT", "SOURCE", "BECAME", "REASON"], &rows);
}
