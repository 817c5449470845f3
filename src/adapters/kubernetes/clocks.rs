//! The server's clock beside ours: deadlines are told by one and kept by the other.

use crate::clock::{Clock, System};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Clocks drift slowly.
const EVERY: Duration = Duration::from_secs(30);
/// A `Date` tells whole seconds: less than this is none.
const UNSURE: SignedDuration = SignedDuration::from_millis(1500);
/// Worth a line in the log.
const LARGE: u64 = 5000;

/// Keeps `skew`, in milliseconds, at what the last answer tells.
pub(super) async fn compare(client: kube::Client, skew: Arc<AtomicU64>) {
    let clock = System;
    loop {
        let asked = clock.now();
        if let Some(theirs) = date(&client).await {
            let differs = difference(asked, theirs, clock.now());
            if differs >= LARGE && skew.load(Ordering::Relaxed) < LARGE {
                tracing::warn!(
                    milliseconds = differs,
                    "the API server's clock and ours differ: deadlines are kept so much earlier; check NTP"
                );
            }
            skew.store(differs, Ordering::Relaxed);
        }
        clock.after(EVERY).await;
    }
}

async fn date(client: &kube::Client) -> Option<Timestamp> {
    let request = http::Request::get("/version").body(kube::client::Body::empty()).ok()?;
    let response = client.send(request).await.ok()?;
    let date = response.headers().get("date")?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

/// By how many milliseconds `theirs` lies outside of the time between question and answer.
fn difference(asked: Timestamp, theirs: Timestamp, heard: Timestamp) -> u64 {
    let before = asked.duration_since(theirs) - UNSURE;
    let after = theirs.duration_since(heard) - UNSURE;
    let most = before.max(after).max(SignedDuration::ZERO);
    u64::try_from(most.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_way_there_and_back_does_not_explain_is_a_difference() {
        let at = |millis: i64| Timestamp::from_millisecond(millis).unwrap();
        assert_eq!(difference(at(10_000), at(10_000), at(10_400)), 0);
        assert_eq!(difference(at(10_900), at(10_000), at(11_000)), 0, "the second has begun");
        assert_eq!(difference(at(20_000), at(10_000), at(20_100)), 8_500, "ours is ahead");
        assert_eq!(difference(at(10_000), at(30_000), at(10_100)), 18_400, "ours is behind");
        assert_eq!(difference(at(10_000), at(12_000), at(15_000)), 0, "a slow answer");
    }
}
