//! The agent's shell: it asks, and passes on what is news until it is accepted.

use super::{Metadata, News, Outlet, Passed, Poller};
use crate::clock::Clock;
use std::time::Duration;
use tokio::sync::mpsc;

/// Before an event that was not taken is passed on again: doubled up to the longest.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_MOST: Duration = Duration::from_secs(5);

/// Runs for as long as the process lives.
pub async fn run(metadata: impl Metadata, outlet: impl Outlet, clock: impl Clock) {
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(pass_on(told, outlet, clock.clone()));
    let mut poller = Poller::default();
    loop {
        while let Some(ask) = poller.next(clock.now()) {
            let reply = metadata.ask(&ask).await;
            for news in poller.hear(&ask, reply, clock.now()) {
                tracing::warn!(kind = news.kind, id = news.id, "told by the metadata service");
                if tell.send(news).is_err() {
                    return;
                }
            }
            for remark in poller.remarks() {
                tracing::warn!("{remark}");
            }
        }
        clock.until(poller.wake_at()).await;
    }
}

/// One after the other, each until it is taken: asking goes on meanwhile.
async fn pass_on(mut told: mpsc::UnboundedReceiver<News>, outlet: impl Outlet, clock: impl Clock) {
    while let Some(news) = told.recv().await {
        let mut tries = 0;
        loop {
            match outlet.pass(&news).await {
                Passed::Accepted => {
                    tracing::info!(kind = news.kind, tries, "accepted");
                    break;
                }
                Passed::Refused(why) => {
                    tracing::error!(kind = news.kind, why, "refused, and not told again");
                    break;
                }
                Passed::Later(why) => {
                    if tries == 0 {
                        tracing::warn!(
                            kind = news.kind,
                            why,
                            "not taken yet; it is told until it is"
                        );
                    }
                    tries += 1;
                    clock.after(AGAIN.saturating_mul(1 << tries.min(5)).min(AGAIN_MOST)).await;
                }
            }
        }
    }
}
