//! `medevac send`: post a file, print what became of it.

use super::{Exit, client::Daemon, words};
use serde_json::Value;
use std::{io::Read, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An Alertmanager body, a CloudEvent or a list of them. `-` reads standard input.
    file: PathBuf,
    #[command(flatten)]
    daemon: Daemon,
}

pub(super) async fn run(args: Args) -> Exit {
    let mut bytes = vec![];
    let read = if args.file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(&args.file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    if let Err(error) = read {
        return Exit::Usage(format!("cannot read {}: {error}", args.file.display()));
    }
    let (path, content) = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Array(_)) => ("/api/v1/events", "application/cloudevents-batch+json"),
        Ok(value) if value.get("specversion").is_some() => {
            ("/api/v1/events", "application/cloudevents+json")
        }
        Ok(value) if value.get("alerts").is_some() => ("/api/v1/alertmanager", "application/json"),
        Ok(_) => {
            return Exit::Usage(
                "this is neither an Alertmanager body (`alerts`) nor a CloudEvent (`specversion`)"
                    .into(),
            );
        }
        Err(error) => return Exit::Usage(format!("{} is not JSON: {error}", args.file.display())),
    };
    let answer = match args.daemon.post(path, content, bytes).await {
        Ok(answer) => answer.good(),
        Err(exit) => return exit,
    };
    match answer {
        Ok(body) => {
            let count = |key: &str| body[key].as_u64().unwrap_or(0);
            words::say(&format!(
                "{} accepted, {} known already, {} set aside as dead letters",
                count("accepted"),
                count("duplicates"),
                count("dead_letters")
            ));
            Exit::Good
        }
        Err(exit) => exit,
    }
}
