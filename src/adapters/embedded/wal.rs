//! A look at the write-ahead file before SQLite opens it, so that a torn tail is not only healed but reported.
//!
//! SQLite itself replays every complete transaction and ignores the rest; this file only tells how much
//! that was. Format: <https://www.sqlite.org/fileformat2.html#walformat>.

use std::{fs, io, path::Path};

/// What a crash had left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healed {
    /// Pages of complete transactions that were not yet in the main file.
    pub replayed_pages: u64,
    /// Bytes of an incomplete transaction, discarded. None of it had been acknowledged.
    pub discarded_bytes: u64,
}

const HEADER: usize = 32;
const FRAME: usize = 24;

pub(super) fn inspect(path: &Path) -> io::Result<Healed> {
    match fs::read(path) {
        Ok(bytes) => Ok(judge(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Healed::default()),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize, big: bool) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).unwrap_or([0; 4]);
    if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

fn checksum(mut sum: (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    for at in (0..bytes.len() / 8 * 8).step_by(8) {
        sum.0 = sum.0.wrapping_add(word(bytes, at, big)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(word(bytes, at + 4, big)).wrapping_add(sum.0);
    }
    sum
}

fn judge(bytes: &[u8]) -> Healed {
    let be = |at| word(bytes, at, true);
    if bytes.len() < HEADER || be(0) & !1 != 0x377f_0682 {
        return Healed { replayed_pages: 0, discarded_bytes: bytes.len() as u64 };
    }
    let big = be(0) & 1 == 1;
    let page = be(8) as usize;
    let salt = (be(16), be(20));
    let mut sum = checksum((0, 0), &bytes[..24], big);
    if sum != (be(24), be(28)) || !(512..=65536).contains(&page) {
        return Healed { replayed_pages: 0, discarded_bytes: bytes.len() as u64 };
    }
    let (mut at, mut frames, mut committed, mut end) = (HEADER, 0, 0, HEADER);
    // Frames with another salt are left over from before the file was reused: not ours to count.
    let ours = |at: usize| bytes.len() >= at + 16 && (be(at + 8), be(at + 12)) == salt;
    while ours(at) && at + FRAME + page <= bytes.len() {
        sum = checksum(sum, &bytes[at..at + 8], big);
        sum = checksum(sum, &bytes[at + FRAME..at + FRAME + page], big);
        if sum != (be(at + 16), be(at + 20)) {
            break;
        }
        frames += 1;
        if be(at + 4) != 0 {
            (committed, end) = (frames, at + FRAME + page);
        }
        at += FRAME + page;
    }
    let mut torn = end;
    while ours(torn) {
        torn = (torn + FRAME + page).min(bytes.len());
    }
    Healed { replayed_pages: committed, discarded_bytes: (torn - end) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_discarded_whole_and_nothing_is_nothing() {
        assert_eq!(judge(&[7; 100]), Healed { replayed_pages: 0, discarded_bytes: 100 });
        assert_eq!(judge(&[]), Healed::default());
    }
}
