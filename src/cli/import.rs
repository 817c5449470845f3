//! `medevac import`: other tools' rules as rule files, with a report of what could not be carried over.

use super::{Exit, words};
use crate::model::Secret;
use crate::rules::{self, Foreign, Source, import};
use std::{path::PathBuf, sync::Arc};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose rules they are.
    #[arg(value_enum)]
    from: From,
    /// Their file.
    file: PathBuf,
    /// Write the rule file there instead of printing it.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum From {
    /// A rulebook of Event-Driven Ansible.
    Eda,
    /// Rules of Falco Talon.
    Talon,
    /// Routes and receivers of Alertmanager.
    Alertmanager,
}

pub(super) fn run(args: &Args) -> Exit {
    let text = match std::fs::read_to_string(&args.file) {
        Ok(text) => text,
        Err(error) => {
            return Exit::Usage(format!("cannot read {}: {error}", args.file.display()));
        }
    };
    let source = Arc::new(Source { path: args.file.display().to_string(), text });
    let from = match args.from {
        From::Eda => Foreign::Eda,
        From::Talon => Foreign::Talon,
        From::Alertmanager => Foreign::Alertmanager,
    };
    let imported = match import(from, &source) {
        Ok(imported) => imported,
        Err(faults) => {
            faults.iter().for_each(|fault| words::complain(&fault.render(false)));
            return Exit::Usage(format!("{} cannot be read", args.file.display()));
        }
    };
    match &args.out {
        Some(path) if path.exists() => {
            return Exit::Usage(format!("{} is there already", path.display()));
        }
        Some(path) => {
            if let Err(error) = std::fs::write(path, &imported.text) {
                return Exit::Failed(format!("cannot write {}: {error}", path.display()));
            }
        }
        None => words::say(imported.text.trim_end()),
    }
    // Beside what is printed, which is the file itself.
    words::complain(&format!("{} rules; every one only observes", imported.rules));
    for (about, why) in &imported.left_out {
        words::complain(&format!(
            "not carried over, {}: {}",
            words::plain(about),
            words::plain(why)
        ));
    }
    let ours = Arc::new(Source { path: "imported".into(), text: imported.text });
    match rules::load(&[ours], &|_| Ok(Secret::new("unread"))) {
        Ok(_) => Exit::Good,
        Err(faults) => {
            faults.iter().for_each(|fault| words::complain(&fault.render(false)));
            words::complain("what is marked has to be put right by hand");
            Exit::No
        }
    }
}
