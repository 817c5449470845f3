//! The rules that a command works with, as they are written: their secrets stay unread.

use super::{Exit, words};
use crate::adapters::rulefiles;
use crate::model::Secret;
use crate::rules::{self, Diagnostic, Ruleset};
use std::{path::PathBuf, sync::Arc};

/// The rules of these files and directories, or all their faults.
pub(super) fn load(paths: &[PathBuf]) -> Result<Result<Ruleset, Vec<Diagnostic>>, Exit> {
    let sources = rulefiles::read(paths).map_err(Exit::Usage)?;
    Ok(rules::load(&sources, &|_| Ok(Secret::new("unread"))))
}

/// The same, for commands that are about something else: faults are complained of.
pub(super) fn sound(paths: &[PathBuf]) -> Result<Arc<Ruleset>, Exit> {
    load(paths)?.map(Arc::new).map_err(|faults| {
        faults.iter().for_each(|fault| words::complain(&fault.render(false)));
        Exit::Usage(format!("{} faults in the rules", faults.len()))
    })
}
