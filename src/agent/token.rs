//! The session token of IMDSv2: renewed before it ends, and once more when it is not accepted.

use jiff::Timestamp;
use std::time::Duration;

/// The longest that a token lives: IMDSv2 allows six hours.
pub(super) const TOKEN_LIVES: Duration = Duration::from_secs(21_600);
/// A token is renewed so long before it ends.
const RENEW: Duration = Duration::from_secs(60);
/// Characters of a token. Real ones have 56.
const LONGEST: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Token {
    /// With when it is renewed.
    current: Option<(String, Timestamp)>,
    /// The last one was refused, and what came of the next is not known yet.
    renewed: bool,
}

impl Token {
    pub(super) fn valid(&self, now: Timestamp) -> Option<&str> {
        self.current.as_ref().filter(|(_, until)| now < *until).map(|(token, _)| token.as_str())
    }

    /// Takes in what came back for a new one.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn take(
        &mut self,
        (status, body): (u16, &str),
        lives: Option<u64>,
        now: Timestamp,
    ) -> Result<(), String> {
        let usable =
            (1..=LONGEST).contains(&body.len()) && body.bytes().all(|byte| byte.is_ascii_graphic());
        match status {
            200 if usable => {
                let lives = lives.map_or(TOKEN_LIVES, Duration::from_secs).min(TOKEN_LIVES);
                let renew = lives.saturating_sub(RENEW.min(lives / 2)).max(Duration::from_secs(1));
                self.current = now.checked_add(renew).ok().map(|until| (body.to_owned(), until));
                Ok(())
            }
            200 => Err("the metadata service gave a token that cannot be one".into()),
            403 => {
                Err("the metadata service is switched off for this machine (403): enable IMDSv2"
                    .into())
            }
            status => Err(format!("the metadata service gives no token: it answered {status}")),
        }
    }

    /// It was refused: true where a new one may be all that is missing.
    pub(super) fn refused(&mut self) -> bool {
        self.current = None;
        !std::mem::replace(&mut self.renewed, true)
    }

    /// Whatever came of it: the next refusal is another one.
    pub(super) fn settled(&mut self) {
        self.renewed = false;
    }
}
