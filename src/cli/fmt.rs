//! `medevac fmt`: rule files in their form, comments and all.

use super::{Exit, words};
use crate::adapters::rulefiles;
use crate::rules::{Unformatted, format};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rule files, or directories of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Change nothing; name the files that are not in form, and exit 1 where there are any.
    #[arg(long)]
    check: bool,
}

/// Written beside it and moved: whoever watches the file sees it whole.
fn replace(path: &str, text: &str) -> std::io::Result<()> {
    let beside = format!("{path}.fmt");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

pub(super) fn run(args: &Args) -> Exit {
    let sources = match rulefiles::read(&args.paths) {
        Ok(sources) => sources,
        Err(why) => return Exit::Usage(why),
    };
    let (mut differ, mut refused) = (0, 0);
    for source in &sources {
        match format(source) {
            Ok(text) if text == source.text => {}
            Ok(text) => {
                differ += 1;
                if args.check {
                    words::say(&format!("{} is not in form", source.path));
                } else if let Err(error) = replace(&source.path, &text) {
                    return Exit::Failed(format!("cannot write {}: {error}", source.path));
                } else {
                    words::say(&format!("{} was formatted", source.path));
                }
            }
            Err(Unformatted::Faults(faults)) => {
                refused += 1;
                faults.iter().for_each(|it| words::complain(&it.render(false)));
            }
            Err(Unformatted::Changed) => {
                refused += 1;
                words::complain(&format!(
                    "{} stays as it is: formatted, it would not say the same; please simplify it by hand",
                    source.path
                ));
            }
        }
    }
    let known = sources.len() - differ - refused;
    words::say(&format!("{known} files in form, {differ} not, {refused} left alone"));
    if refused > 0 || (args.check && differ > 0) { Exit::No } else { Exit::Good }
}
