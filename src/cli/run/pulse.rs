//! Signs of life to whom the configuration names.

use super::super::{Exit, client};
use crate::config::Heartbeat;
use crate::daemon::{Beat, Pulse};
use crate::model::chain;
use std::{sync::Arc, time::Duration};

pub(super) fn pulse(of: &Heartbeat) -> Result<Pulse, Exit> {
    let read = std::fs::read_to_string(&of.url_file);
    let url = read.map_err(|error| {
        Exit::Usage(format!("heartbeat: cannot read {}: {error}", of.url_file.display()))
    })?;
    let bad = |_| Exit::Usage(format!("heartbeat: {} holds no URL", of.url_file.display()));
    let url: reqwest::Url = url.trim().parse().map_err(bad)?;
    let (client, every) = (client::http()?, of.every);
    let beat: Beat = Arc::new(move || {
        let asked = client.post(url.clone()).timeout(BEAT).send();
        Box::pin(async move {
            // The URL is a secret: no error tells it.
            let answer = asked.await.map_err(|error| chain(&error.without_url()))?;
            match answer.status() {
                status if status.is_success() => Ok(()),
                status => Err(format!("it answered {}", status.as_u16())),
            }
        })
    });
    Ok(Pulse { every, beat })
}

/// Whoever takes signs of life answers within this time.
const BEAT: Duration = Duration::from_secs(10);
