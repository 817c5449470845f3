//! Text as one token of a grammar that has letters of its own: what could break it is written as a mark and two hex digits.

use std::fmt::Write;

/// Letters, digits and `keep` stay; every other byte is written `<mark>XX`.
pub fn escape(text: &str, mark: char, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string goes well.
            write!(out, "{mark}{byte:02X}").unwrap_or_default();
        }
    }
    out
}

/// The text that was escaped with `mark`; none where the token is not such a text.
pub fn unescape(token: &str, mark: char) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let [first, tail @ ..] = rest {
        if char::from(*first) == mark {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}
