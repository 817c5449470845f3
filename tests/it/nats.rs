//! The log on real nats-servers: its contract on one and on three, fences, and what it says when it cannot.

use crate::contract;
use crate::support::nats::{cluster, connect, options, single};

#[tokio::test]
async fn one_server_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    contract::holds(connect(&options(&[&server])).await).await;
}

#[tokio::test]
async fn three_servers_keep_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let servers = cluster(directory.path(), |_, _, port| port);
    let servers: Vec<_> = servers.iter().collect();
    contract::holds(connect(&options(&servers)).await).await;
}
