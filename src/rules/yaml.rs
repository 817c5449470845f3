//! YAML as a tree that remembers where everything stood. Duplicate keys, aliases and tags are faults.

use super::diagnostic::{Code, Diagnostic, Place, Source};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use std::{ops::Range, sync::Arc};

/// Deeper than any rule file needs to be.
const MAX_DEPTH: usize = 32;
/// More nodes than ten thousand rules have.
const MAX_NODES: usize = 2_000_000;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Node {
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { text, plain: true }
                if text.is_empty() || text == "null" || text == "~" =>
            {
                "nothing"
            }
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The value behind a key, of a mapping.
    pub(crate) fn value(&self, key: &str) -> Option<&Node> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| node)
    }

    /// Whether it says the same, wherever it stands.
    pub(crate) fn same(&self, other: &Node) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Scalar { text: a, plain: p }, Kind::Scalar { text: b, plain: q }) => {
                a == b && p == q
            }
            (Kind::List(a), Kind::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Kind::Map(a), Kind::Map(b)) => {
                let entry =
                    |(a, b): (&(Key, Node), &(Key, Node))| a.0.text == b.0.text && a.1.same(&b.1);
                a.len() == b.len() && a.iter().zip(b).all(entry)
            }
            _ => false,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.describe() == "nothing"
    }
}

/// Parses the documents of `source`, mappings all. Faults go to `faults`; what is sound is returned.
pub(crate) fn parse(source: &Arc<Source>, faults: &mut Vec<Diagnostic>) -> Vec<Node> {
    let offsets: Vec<usize> = source.text.char_indices().map(|(at, _)| at).collect();
    let mut builder =
        Builder { source, offsets, faults, parser: Parser::new_from_str(&source.text), nodes: 0 };
    let mut documents = vec![];
    loop {
        match builder.next() {
            Some((Event::DocumentStart(_), _)) => match builder.next() {
                Some((event, span)) => match builder.node(event, span, 0) {
                    Some(node) => documents.push(node),
                    None => return documents,
                },
                None => return documents,
            },
            Some((Event::StreamEnd, _)) | None => return documents,
            Some(_) => {}
        }
    }
}

/// The length of a quoted scalar at the beginning of `raw`.
fn closed(raw: &str) -> usize {
    let Some(quote) = raw.chars().next() else { return 0 };
    let mut escaped = false;
    let mut chars = raw.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        let doubled = quote == '\'' && matches!(chars.peek(), Some((_, '\'')));
        if escaped {
            escaped = false;
        } else if quote == '"' && c == '\\' {
            escaped = true;
        } else if c == quote && doubled {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    raw.trim_end().len()
}

/// Where the head of the block scalar stands whose body begins at `body`: `>-`, `|`.
fn head(text: &str, body: usize) -> Option<usize> {
    let above = text.get(..body)?.trim_end();
    let line = above.rfind('\n').map_or(0, |at| at + 1);
    let signs = above.get(line..)?.match_indices(['|', '>']).map(|(at, _)| line + at);
    let is_head = |at: &usize| {
        let rest = above[at + 1..]
            .trim_start_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        rest.trim().is_empty() || rest.trim_start().starts_with('#')
    };
    signs.into_iter().find(is_head)
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    /// Byte offset of each character: the parser counts characters.
    offsets: Vec<usize>,
    faults: &'a mut Vec<Diagnostic>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn byte(&self, mark: Marker) -> usize {
        self.offsets.get(mark.index()).copied().unwrap_or(self.source.text.len())
    }

    fn place(&self, span: Span) -> Place {
        let range: Range<usize> = self.byte(span.start)..self.byte(span.end);
        Place { source: Arc::clone(self.source), span: range }
    }

    fn fault(&mut self, code: Code, place: Place, message: &str) {
        self.faults.push(Diagnostic::new(code, place, message));
    }

    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        match self.parser.next_event()? {
            Ok(event) => Some(event),
            Err(error) => {
                let at = self.byte(*error.marker()).min(self.source.text.len());
                let place = Place { source: Arc::clone(self.source), span: at..at };
                let hint = "YAML is indented by spaces, never tabs; quote values that hold `: ` or start with `{`, `[`, `*`, `&`, `!`";
                self.faults.push(Diagnostic::new(Code::Yaml, place, error.info()).hint(hint));
                None
            }
        }
    }

    /// `None` where the rest of the file is lost.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Option<Node> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            let place = self.place(span);
            self.fault(Code::TooLarge, place, "nested too deeply, or too large for a rule file");
            return None;
        }
        let mut place = self.place(span);
        let kind = match event {
            Event::Scalar(text, style, _, tag) => {
                if tag.is_some() {
                    self.fault(Code::Yaml, place.clone(), "tags are not used in rule files");
                }
                place.span = self.written(style, place.span);
                Kind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => Kind::List(self.list(depth)?),
            Event::MappingStart(..) => Kind::Map(self.map(depth)?),
            Event::Alias(_) => {
                self.fault(
                    Code::Yaml,
                    place.clone(),
                    "aliases are not used in rule files; write a shared clause under `definitions`",
                );
                Kind::Scalar { text: String::new(), plain: true }
            }
            _ => return None,
        };
        Some(Node { kind, place })
    }

    /// Where a scalar is written: with its quotes or its head, without what follows it on its line.
    fn written(&self, style: ScalarStyle, span: Range<usize>) -> Range<usize> {
        let text = self.source.text.as_str();
        let raw = text.get(span.clone()).unwrap_or_default();
        let length = match style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => closed(raw),
            ScalarStyle::Plain => {
                let remark = raw.match_indices('#').map(|(at, _)| at);
                let mut remark = remark.filter(|at| raw[..*at].ends_with(char::is_whitespace));
                raw[..remark.next().unwrap_or(raw.len())].trim_end().len()
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let start = head(text, span.start).unwrap_or(span.start);
                return start..span.start + raw.trim_end().len();
            }
        };
        span.start..span.start + length
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut items = vec![];
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<Vec<(Key, Node)>> {
        let mut entries: Vec<(Key, Node)> = vec![];
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Some(entries);
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Kind::Scalar { text, .. } = key.kind else {
                self.fault(Code::Yaml, key.place, "a key is a single word");
                continue;
            };
            if entries.iter().any(|(known, _)| known.text == text) {
                let message = format!("`{text}` stands here twice");
                self.faults.push(Diagnostic::new(Code::Duplicate, key.place, message));
                continue;
            }
            entries.push((Key { text, place: key.place }, value));
        }
    }
}
