//! From the text of a condition to its words.

use super::fault::{Fault, fault};
use std::ops::Range;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Without its sign: the parser puts it before.
    Int(u64),
    Double(f64),
    Text(String),
    Name(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Two characters before one: the longest match wins.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", ".?", "[?", "+", "-", "*", "/", "%", "!", "<", ">", "?",
    ":", ".", ",", "(", ")", "[", "]", "{", "}",
];

/// The words of `text`, with where they stand, and an [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Fault> {
    let mut all = vec![];
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(first) = rest.chars().next() else { break };
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else {
            let (token, length) = one(text, at, first)?;
            all.push((token, at..at + length));
            at += length;
        }
    }
    all.push((Token::End, text.len()..text.len()));
    Ok(all)
}

fn one(text: &str, at: usize, first: char) -> Result<(Token, usize), Fault> {
    let rest = &text[at..];
    if first.is_ascii_digit()
        || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
    {
        return number(rest, at);
    }
    if let Some((prefix, quote)) = string_start(rest) {
        return string(text, at, prefix, quote);
    }
    if first == '_' || first.is_ascii_alphabetic() {
        let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        return Ok((Token::Name(rest[..end].into()), end));
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    let hint = match first {
        '=' => Some("compare with `==`"),
        '&' | '|' => Some("write `&&` for and, `||` for or"),
        '`' => Some("write `[\"a-name\"]` for a field whose name is no word"),
        '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' => Some("use straight quotes"),
        _ => None,
    };
    Err(fault(at..at + first.len_utf8(), format!("`{first}` means nothing here"), hint))
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), Fault> {
    if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        let whole = u64::from_str_radix(&digits[..end], 16);
        return whole
            .map(|whole| (Token::Int(whole), end + 2))
            .map_err(|_| fault(at..at + end + 2, "not a number of 64 bits", None));
    }
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits(rest);
    let mut real = false;
    if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        real = true;
        end += 1 + digits(&rest[end + 1..]);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        let power = digits(&rest[end + 1 + sign..]);
        if power > 0 {
            real = true;
            end += 1 + sign + power;
        }
    }
    let place = at..at + end;
    if rest[end..].starts_with(['u', 'U']) {
        let hint = Some("leave the `u` out: whole numbers have a sign here");
        return Err(Fault::unsupported(
            at..at + end + 1,
            "unsigned numbers are not supported",
            hint,
        ));
    }
    let bad = || fault(place.clone(), "not a number that can be held", None);
    let token = if real {
        let number: f64 = rest[..end].parse().map_err(|_| bad())?;
        Token::Double(Some(number).filter(|number| number.is_finite()).ok_or_else(bad)?)
    } else {
        Token::Int(rest[..end].parse().map_err(|_| bad())?)
    };
    Ok((token, end))
}

/// Length of the prefix (`r`, `b` or both), and the quote.
fn string_start(rest: &str) -> Option<(usize, &'static str)> {
    let prefix = rest.bytes().take(2).take_while(|byte| b"rRbB".contains(byte)).count();
    ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| rest[prefix..].starts_with(quote))
        .map(|quote| (prefix, quote))
}

fn string(
    text: &str,
    at: usize,
    prefix: usize,
    quote: &'static str,
) -> Result<(Token, usize), Fault> {
    let letters = text[at..at + prefix].to_ascii_lowercase();
    if letters.contains('b') {
        let hint = Some("write a string");
        return Err(Fault::unsupported(at..at + prefix + 1, "bytes are not supported", hint));
    }
    let raw = letters.contains('r');
    let open = || fault(at..text.len(), "a string that is not closed", None);
    let mut out = String::new();
    let mut here = at + prefix + quote.len();
    loop {
        let rest = &text[here..];
        if rest.starts_with(quote) {
            return Ok((Token::Text(out), here + quote.len() - at));
        }
        let first = rest.chars().next().ok_or_else(open)?;
        if first == '\n' && quote.len() == 1 {
            return Err(open());
        }
        if first == '\\' && !raw {
            let (made, length) = escape(rest, here)?;
            out.push(made);
            here += length;
        } else {
            out.push(first);
            here += first.len_utf8();
        }
    }
}

/// One escape, as CEL has them.
fn escape(rest: &str, at: usize) -> Result<(char, usize), Fault> {
    let bad = |length: usize| {
        let hint = Some("escapes are \\\\ \\\" \\' \\n \\r \\t \\xHH \\uHHHH; or write r\"…\"");
        fault(at..at + length, "not an escape", hint)
    };
    let simple = match rest.as_bytes().get(1) {
        Some(b'a') => Some('\u{7}'),
        Some(b'b') => Some('\u{8}'),
        Some(b'f') => Some('\u{c}'),
        Some(b'n') => Some('\n'),
        Some(b'r') => Some('\r'),
        Some(b't') => Some('\t'),
        Some(b'v') => Some('\u{b}'),
        Some(byte @ (b'\\' | b'\'' | b'"' | b'`' | b'?')) => Some(char::from(*byte)),
        _ => None,
    };
    if let Some(made) = simple {
        return Ok((made, 2));
    }
    let (start, digits, base) = match rest.as_bytes().get(1) {
        Some(b'x' | b'X') => (2, 2, 16),
        Some(b'u') => (2, 4, 16),
        Some(b'U') => (2, 8, 16),
        Some(b'0'..=b'3') => (1, 3, 8),
        _ => return Err(bad(1)),
    };
    let code = rest.get(start..start + digits).ok_or_else(|| bad(1))?;
    let made = u32::from_str_radix(code, base).ok().and_then(char::from_u32);
    made.map(|made| (made, start + digits)).ok_or_else(|| bad(start + digits))
}
