//! A fault in a condition, with its place in the condition's own text.

use super::super::diagnostic::Code;
use std::ops::Range;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) range: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) warning: bool,
}

impl Fault {
    pub(super) fn new(code: Code, range: Range<usize>, message: impl Into<String>) -> Fault {
        Fault { code, range, message: message.into(), hint: None, warning: false }
    }

    /// CEL has it, and we have not: the hint names what to write instead.
    pub(super) fn unsupported(
        range: Range<usize>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> Fault {
        Fault { hint: hint.map(str::to_owned), ..Fault::new(Code::Unsupported, range, message) }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: Some(hint.into()), ..self }
    }

    pub(super) fn warning(self) -> Fault {
        Fault { warning: true, ..self }
    }
}

/// It is no CEL.
pub(super) fn fault(range: Range<usize>, message: impl Into<String>, hint: Option<&str>) -> Fault {
    Fault { hint: hint.map(str::to_owned), ..Fault::new(Code::Syntax, range, message) }
}
