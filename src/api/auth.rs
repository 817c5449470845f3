//! Who may come in: bearer token, user and password, or a client certificate. Compared in constant time.

use crate::config::Auth;
use axum::http::HeaderMap;
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The caller showed a client certificate with an accepted name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certified(pub(super) bool);

/// Knows only hashes: of equal length whatever the secret, so that a comparison tells nothing.
#[derive(Clone, Default)]
pub struct Gate {
    tokens: Vec<[u8; 32]>,
    basic: Vec<[u8; 32]>,
    open: bool,
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

impl Gate {
    pub fn new(auth: &Auth) -> Gate {
        Gate {
            tokens: auth.tokens.iter().map(|token| digest(token.expose())).collect(),
            basic: auth
                .basic
                .iter()
                .map(|(user, word)| digest(&format!("{user}:{}", word.expose())))
                .collect(),
            open: auth.is_empty(),
        }
    }

    pub(super) fn lets_in(&self, headers: &HeaderMap, certified: Certified) -> bool {
        if self.open || certified.0 {
            return true;
        }
        let header =
            headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, rest) = header.split_once(' ').unwrap_or_default();
        let shown = rest.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => known(&self.tokens, shown),
            "basic" => BASE64_STANDARD
                .decode(shown)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .is_some_and(|pair| known(&self.basic, &pair)),
            _ => false,
        }
    }
}

/// Every known one is compared, whichever matches.
fn known(all: &[[u8; 32]], shown: &str) -> bool {
    let shown = digest(shown);
    all.iter().fold(false, |found, one| found | bool::from(one.ct_eq(&shown)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    #[test]
    fn any_of_several_tokens_and_nothing_else() {
        let auth = Auth {
            tokens: vec![Secret::new("old"), Secret::new("new")],
            basic: vec![("am".into(), Secret::new("pw:x"))],
            client_names: vec![],
        };
        let gate = Gate::new(&auth);
        let ask = |value: &str| {
            let headers =
                HeaderMap::from_iter([("authorization".parse().unwrap(), value.parse().unwrap())]);
            gate.lets_in(&headers, Certified(false))
        };
        assert!(
            ask("Bearer old")
                && ask("bearer new")
                && ask(&format!("Basic {}", BASE64_STANDARD.encode("am:pw:x")))
        );
        assert!(!ask("Bearer ") && !ask("Bearer olD") && !ask("Basic !!") && !ask("old"));
        assert!(!gate.lets_in(&HeaderMap::new(), Certified(false)));
        assert!(gate.lets_in(&HeaderMap::new(), Certified(true)));
    }
}
