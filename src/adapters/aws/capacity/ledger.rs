//! The note that an order leaves on its Auto Scaling group before it changes anything: a life that comes later reads how
//! far it came. In the characters that a tag's value may have.

use std::fmt;

/// Its tag is this and the order's key.
pub(super) const ORDER: &str = "medevac.dev/order-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The desired capacity is about to be raised.
    Asking,
    Asked,
    /// It is about to be lowered to that.
    CallingOff(i32),
}

/// `asked machines=2 to=14 at=1767225600 newest=1767200000`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stage: Stage,
    pub(super) machines: u32,
    /// The desired capacity that it wants.
    pub(super) to: i32,
    /// Unix seconds, by our clock.
    pub(super) at: i64,
    /// When the newest machine before was launched: Unix seconds, by the clock of EC2.
    pub(super) newest: i64,
}

impl Entry {
    pub(super) fn read(text: &str) -> Option<Entry> {
        let mut words = text.split(' ');
        let stage = words.next()?;
        let rest: Vec<(&str, i64)> = words
            .filter_map(|word| word.split_once('='))
            .filter_map(|(key, value)| Some((key, value.parse().ok()?)))
            .collect();
        let of = |key: &str| rest.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
        let stage = match stage {
            "asking" => Stage::Asking,
            "asked" => Stage::Asked,
            "calling-off" => Stage::CallingOff(i32::try_from(of("down")?).ok()?),
            _ => return None,
        };
        let machines = u32::try_from(of("machines")?).ok()?;
        let to = i32::try_from(of("to")?).ok()?;
        Some(Entry { stage, machines, to, at: of("at")?, newest: of("newest")? })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { stage, machines, to, at, newest } = self;
        let word = match stage {
            Stage::Asking => "asking",
            Stage::Asked => "asked",
            Stage::CallingOff(_) => "calling-off",
        };
        write!(f, "{word} machines={machines} to={to} at={at} newest={newest}")?;
        match stage {
            Stage::CallingOff(down) => write!(f, " down={down}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_the_characters_of_a_tag() {
        for stage in [Stage::Asking, Stage::Asked, Stage::CallingOff(12)] {
            let entry =
                Entry { stage, machines: 2, to: 14, at: 1_767_225_600, newest: 1_767_200_000 };
            let text = entry.to_string();
            assert_eq!(Entry::read(&text), Some(entry), "{text}");
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || " +-=._:/@".contains(c)));
        }
        for odd in ["", "asked", "asked machines=x to=1 at=1", "calling-off machines=1 to=1 at=1"] {
            assert_eq!(Entry::read(odd), None, "{odd}");
        }
    }
}
