//! The steps that have to do with machines in place of one that goes.

use super::super::super::diagnostic::Code;
use super::super::super::names::Names;
use super::super::super::rule::word;
use super::super::super::walk::{Entries, Faults};
use crate::model::{Action, Extent, Span};

const EXTENTS: [(&str, Extent); 2] = [("lost", Extent::Lost), ("whole", Extent::Whole)];

pub(super) fn action(
    verb: &str,
    entries: &Entries<'_>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Action {
    let ladders = names.ladders.clone();
    if ladders.is_empty() && verb != "return_to_spot" {
        let message = format!("`{verb}` needs a ladder, and there is no `capacity`");
        faults.add(Code::MissingKey, entries.place(), message).hint =
            Some("write `capacity:` with a ladder in any of the files".into());
    }
    let timeout = entries.span("timeout", faults).unwrap_or(Span::seconds(600));
    match verb {
        "provision" => {
            let within = entries.span("within", faults).unwrap_or(Span::seconds(1800));
            Action::Provision { ladders, within }
        }
        "reschedule" => {
            let extent = word(entries, "extent", &EXTENTS, faults).unwrap_or_default();
            let bare_pods = entries.boolean("bare_pods", faults).unwrap_or(false);
            Action::Reschedule { extent, bare_pods, ladders, timeout }
        }
        _ => Action::ReturnToSpot { pool: entries.text("pool", faults), timeout },
    }
}
