//! Faults in rule files: what, where, and what to do about it. Collected, never thrown.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::{ops::Range, sync::Arc};

/// One rule file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// As the user named it.
    pub path: String,
    pub text: String,
}

/// A place in a file: a range of bytes.
#[derive(Debug, Clone)]
pub struct Place {
    pub source: Arc<Source>,
    pub span: Range<usize>,
}

impl Place {
    /// Line and column of its start, both from 1, the column in characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = self.source.text.get(..self.span.start).unwrap_or(&self.source.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
        (line, column)
    }
}

/// What kind of fault it is. The code is stable: documentation and suppressions may name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    Yaml,
    UnknownKey,
    MissingKey,
    WrongType,
    BadValue,
    Duplicate,
    UnknownName,
    Cycle,
    Syntax,
    Unsupported,
    OperandType,
    UnknownField,
    Never,
    Unreachable,
    Shadowed,
    UnguardedKey,
    UnboundedKey,
    NeverFires,
    Clocks,
    Unscheduled,
    Gap,
    TooShort,
    Conflict,
    Secret,
    Unguarded,
    Policy,
    TooLarge,
}

impl Code {
    /// Every code: each has a section of its own in `rules/README.md`.
    pub const ALL: [Code; 27] = [
        Code::Yaml,
        Code::UnknownKey,
        Code::MissingKey,
        Code::WrongType,
        Code::BadValue,
        Code::Duplicate,
        Code::UnknownName,
        Code::Cycle,
        Code::Syntax,
        Code::Unsupported,
        Code::OperandType,
        Code::UnknownField,
        Code::Never,
        Code::Unreachable,
        Code::Shadowed,
        Code::UnguardedKey,
        Code::UnboundedKey,
        Code::NeverFires,
        Code::Clocks,
        Code::Unscheduled,
        Code::Gap,
        Code::TooShort,
        Code::Conflict,
        Code::Secret,
        Code::Unguarded,
        Code::Policy,
        Code::TooLarge,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Code::Yaml => "yaml",
            Code::UnknownKey => "unknown-key",
            Code::MissingKey => "missing-key",
            Code::WrongType => "wrong-type",
            Code::BadValue => "bad-value",
            Code::Duplicate => "duplicate",
            Code::UnknownName => "unknown-name",
            Code::Cycle => "cycle",
            Code::Syntax => "syntax",
            Code::Unsupported => "unsupported",
            Code::OperandType => "operand-type",
            Code::UnknownField => "unknown-field",
            Code::Never => "never",
            Code::Unreachable => "unreachable",
            Code::Shadowed => "shadowed",
            Code::UnguardedKey => "unguarded-key",
            Code::UnboundedKey => "unbounded-key",
            Code::NeverFires => "never-fires",
            Code::Clocks => "clocks",
            Code::Unscheduled => "unscheduled",
            Code::Gap => "gap",
            Code::TooShort => "too-short",
            Code::Conflict => "conflict",
            Code::Secret => "secret",
            Code::Unguarded => "unguarded",
            Code::Policy => "policy",
            Code::TooLarge => "too-large",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Diagnostic {
    pub code: Code,
    pub message: String,
    pub place: Place,
    pub hint: Option<String>,
    /// Worth saying, but the rules can be used.
    pub warning: bool,
}

impl Diagnostic {
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, message: message.into(), place, hint: None, warning: false }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// `file:line:column: error[code]: message`, for logs and for programs.
    pub fn line(&self) -> String {
        let (line, column) = self.place.line_column();
        let level = if self.warning { "warning" } else { "error" };
        let Source { path, .. } = &*self.place.source;
        let hint = self.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{path}:{line}:{column}: {level}[{}]: {}{hint}", self.code.word(), self.message)
    }

    /// For people: with the line, a caret and the hint.
    pub fn render(&self, colour: bool) -> String {
        let level = if self.warning { Level::WARNING } else { Level::ERROR };
        let Source { path, text } = &*self.place.source;
        let end = self.place.span.end.min(text.len());
        let span = self.place.span.start.min(end)..end;
        let snippet = Snippet::source(text.as_str())
            .path(path.as_str())
            .annotation(AnnotationKind::Primary.span(span));
        let mut group =
            level.primary_title(self.message.as_str()).id(self.code.word()).element(snippet);
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// The nearest of `known` to `word`, where one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

/// One of `known` of which `word` is a slip of the finger: a letter or two away.
pub(super) fn slip<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|name| (strsim::damerau_levenshtein(word, name), name));
    near.filter(|(distance, name)| *distance <= 2.min(name.len() / 3)).min().map(|(_, name)| name)
}

/// `did you mean …?`, or the list of what there is.
pub(crate) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let mut all: Vec<&str> = known.into_iter().collect();
            all.sort_unstable();
            if all.is_empty() {
                return "none is defined".into();
            }
            let more = if all.len() > 24 { ", …" } else { "" };
            all.truncate(24);
            format!("there are: {}{more}", all.join(", "))
        }
    }
}
