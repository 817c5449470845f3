//! The comments of a YAML file, which its parser passes over.

use super::super::yaml::{Kind, Node};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A comment on a line of its own.
#[derive(Debug, Clone)]
pub(super) struct Comment {
    line: usize,
    pub(super) text: String,
    /// An empty line stands above it.
    pub(super) gap: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Comments {
    own: VecDeque<Comment>,
    /// Behind something, by line.
    behind: BTreeMap<usize, String>,
    /// Lines above which an empty one stands.
    gaps: BTreeSet<usize>,
}

/// Finds the comments of `text`, which was parsed to `documents`: what is in a scalar is none.
pub(super) fn scan(text: &str, documents: &[Node]) -> Comments {
    let mut scalars = vec![];
    documents.iter().for_each(|node| spans(node, &mut scalars));
    scalars.sort_unstable();
    let inside = |at: usize| {
        let next = scalars.partition_point(|(start, _)| *start <= at);
        next.checked_sub(1).is_some_and(|before| at < scalars[before].1)
    };
    let (mut comments, mut offset, mut empty) = (Comments::default(), 0, false);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let number = number + 1;
        let blank = line.trim().is_empty();
        let starts = line.match_indices('#').map(|(at, _)| at).find(|at| {
            let before = line[..*at].chars().next_back();
            before.is_none_or(char::is_whitespace) && !inside(offset + at)
        });
        if let Some(at) = starts {
            let comment = line[at..].trim_end().to_owned();
            if line[..at].trim().is_empty() {
                comments.own.push_back(Comment { line: number, text: comment, gap: empty });
            } else {
                comments.behind.insert(number, comment);
            }
        }
        if empty && !blank {
            comments.gaps.insert(number);
        }
        empty = blank && !inside(offset);
        offset += line.len();
    }
    comments
}

/// Where the scalars stand: keys and values.
fn spans(node: &Node, into: &mut Vec<(usize, usize)>) {
    match &node.kind {
        Kind::Scalar { .. } => into.push((node.place.span.start, node.place.span.end)),
        Kind::List(items) => items.iter().for_each(|item| spans(item, into)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                into.push((key.place.span.start, key.place.span.end));
                spans(value, into);
            }
        }
    }
}

impl Comments {
    /// Those above `line` that were not taken yet.
    pub(super) fn above(&mut self, line: usize) -> Vec<Comment> {
        let mut found = vec![];
        while let Some(comment) = self.own.front().filter(|comment| comment.line < line) {
            found.push(comment.clone());
            self.own.pop_front();
        }
        found
    }

    pub(super) fn behind(&mut self, line: usize) -> Option<String> {
        self.behind.remove(&line)
    }

    pub(super) fn gap(&self, line: usize) -> bool {
        self.gaps.contains(&line)
    }

    /// Whether a comment stands between these lines, or behind one of them but the last.
    pub(super) fn within(&self, first: usize, last: usize) -> bool {
        self.own.iter().any(|comment| first < comment.line && comment.line <= last)
            || self.behind.range(first..last).next().is_some()
    }

    /// All of them, in order of their texts.
    pub(super) fn texts(&self) -> Vec<&str> {
        let own = self.own.iter().map(|comment| comment.text.as_str());
        let mut all: Vec<&str> = own.chain(self.behind.values().map(String::as_str)).collect();
        all.sort_unstable();
        all
    }
}
