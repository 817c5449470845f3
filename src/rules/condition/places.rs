//! From a range of a condition's text to its place in the file: quotes, escapes and indentation lie between.

use super::super::diagnostic::Place;
use std::{ops::Range, sync::Arc};

/// The place of `range` of `text`, where `text` is what the scalar at `place` says.
pub(super) fn within(place: &Place, text: &str, range: &Range<usize>) -> Place {
    let scalar = place.source.text.get(place.span.clone()).unwrap_or_default();
    let offsets = align(scalar, text);
    let at = |index: usize| offsets.get(index).copied().unwrap_or(scalar.len());
    let last = range.end.saturating_sub(1).max(range.start);
    let (start, end) = (at(range.start), at(last) + 1);
    if start >= scalar.len() || end < start {
        return place.clone();
    }
    let bound = |mut at: usize| {
        while !scalar.is_char_boundary(at) {
            at += 1;
        }
        at
    };
    let (start, end) = (bound(start), bound(end.min(scalar.len())));
    Place {
        source: Arc::clone(&place.source),
        span: place.span.start + start..place.span.start + end,
    }
}

/// For each byte of `text` the byte of `scalar` that it comes from. What YAML adds is passed over: quotes,
/// backslashes, indentation, and line ends that were folded into spaces.
fn align(scalar: &str, text: &str) -> Vec<usize> {
    let source = scalar.as_bytes();
    let mut offsets = Vec::with_capacity(text.len());
    let mut at = 0;
    // The head of a block scalar says nothing.
    if scalar.starts_with(['|', '>']) {
        at = scalar.find('\n').map_or(0, |end| end + 1);
    }
    for byte in text.bytes() {
        let wanted = |found: u8| {
            found == byte || (byte == b' ' && found == b'\n') || (byte == b'\n' && found == b'n')
        };
        let mut here = at;
        while here < source.len() && !wanted(source[here]) {
            let passed = source[here].is_ascii_whitespace() || b"\"'\\".contains(&source[here]);
            if !passed {
                break;
            }
            here += 1;
        }
        if here < source.len() && wanted(source[here]) {
            at = here + 1;
            offsets.push(here);
        } else {
            offsets.push(at.min(source.len()));
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::super::super::diagnostic::Source;
    use super::*;

    #[test]
    fn every_style_of_scalar_is_found() {
        for scalar in [
            "a == 1 && bad == 2",
            "\"a == \\\"x\\\" && bad == 2\"",
            "'a == ''x'' && bad == 2'",
            ">\n      a == 1 &&\n      bad == 2",
            "|-\n      a == 1 &&\n      bad == 2",
        ] {
            let text = format!("rules:\n  - if: {scalar}\n");
            let source = Arc::new(Source { path: "t".into(), text });
            let mut faults = vec![];
            let root = crate::rules::reading::parse(&source, &mut faults).remove(0);
            let crate::rules::yaml::Kind::Map(rules) = &root.kind else { panic!() };
            let crate::rules::yaml::Kind::List(items) = &rules[0].1.kind else { panic!() };
            let crate::rules::yaml::Kind::Map(rule) = &items[0].kind else { panic!() };
            let crate::rules::yaml::Kind::Scalar { text, .. } = &rule[0].1.kind else { panic!() };
            let start = text.find("bad").unwrap();
            let found = within(&rule[0].1.place, text, &(start..start + 3));
            assert_eq!(&source.text[found.span.clone()], "bad", "{scalar}");
        }
    }
}
