//! Identity from content: the same thing said twice has the same name. Nothing here is random.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt};

/// A content-derived name: 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(Box<str>);

impl Id {
    /// Names the content of `parts`. Each part is length-prefixed, so `["ab","c"]` and `["a","bc"]` differ.
    pub fn of(parts: &[&str]) -> Id {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Id(hex(&hash.finalize()[..16]).into())
    }

    /// An id that somebody else chose, for example a CloudEvent's: hashed with its source, so that
    /// its length and its characters are ours.
    pub fn given(source: &str, id: &str) -> Id {
        Id::of(&["given", source, id])
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first `digits` digits, for names that people read.
    pub fn short(&self, digits: usize) -> &str {
        self.0.get(..digits).unwrap_or(&self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Alertmanager's label fingerprint: FNV-1a-64 over each sorted `name 0xff value 0xff`,
/// 16 lower-case hexadecimal digits (source: prometheus/common `model/signature.go`).
pub fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let each = labels.iter();
    let bytes = each
        .flat_map(|(name, value)| name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]));
    format!("{:016x}", fnv1a(bytes))
}

/// FNV-1a with 64 bits: fast, the same everywhere, and not safe from anybody who looks for two texts with one hash.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Id::of(&["ab", "c"]), Id::of(&["a", "bc"]));
        assert_eq!(Id::of(&["ab", "c"]), Id::of(&["ab", "c"]));
    }

    #[test]
    fn no_labels_have_the_offset_basis_as_fingerprint() {
        assert_eq!(fingerprint(&BTreeMap::new()), "cbf29ce484222325");
    }
}
