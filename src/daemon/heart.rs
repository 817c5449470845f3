//! Tells somebody outside that the active replica lives and decides. Whoever hears nothing for a while calls people: so it is
//! noticed that this daemon, its log or its engine stands still, which it cannot tell itself.

use super::Pulse;
use crate::clock::Clock;
use crate::engine;
use crate::log::{Condition, Kv, Log, LogError, Stream, bucket};
use std::time::Duration;

const KEY: &str = "heart";
/// What came in longer ago than this and is not decided on yet: the engine stands still.
const STANDS: Duration = Duration::from_secs(120);

/// Runs until the log is gone.
pub(super) async fn run<L: Log + Kv>(
    log: L,
    clock: impl Clock,
    pulse: Option<Pulse>,
) -> Result<(), LogError> {
    let Some(Pulse { every, beat }) = pulse else { return std::future::pending().await };
    loop {
        clock.after(every).await;
        let now = clock.now();
        // Who cannot write does not live.
        let seen = now.to_string().into_bytes();
        log.put(bucket::SNAPSHOTS, KEY, seen, Condition::Always, None).await?;
        let places = log.places().await?;
        let floor = places.iter().find(|it| it.consumer == engine::run::NAME).map(|it| it.floor);
        let next = log.read(floor.unwrap_or(0), &[Stream::Events, Stream::Outcomes], 1).await?;
        let stands = next.first().is_some_and(|next| {
            now.duration_since(next.at) >= STANDS.try_into().unwrap_or_default()
        });
        if stands {
            tracing::error!("what came in is not decided on: the heartbeat is held back");
            continue;
        }
        if let Err(why) = beat().await {
            tracing::warn!(why, "the heartbeat was not taken");
        }
    }
}
