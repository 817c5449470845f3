//! Real nats-servers: one, or three in a cluster, on loopback, stopped by pid.

use super::{free_port, servers::Process, servers::cache, until};
use medevac::adapters::nats::{Nats, Options};
use medevac::clock::System;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub(crate) fn binary() -> PathBuf {
    let brought = cache().join("nats-2.15.1/nats-server");
    if brought.exists() { brought } else { "nats-server".into() }
}

pub(crate) struct Server {
    process: Option<Process>,
    config: PathBuf,
    pub(crate) port: u16,
}

impl Server {
    fn new(config: PathBuf, port: u16) -> Server {
        let mut server = Server { process: None, config, port };
        server.start();
        server
    }

    pub(crate) fn start(&mut self) {
        let binary = binary();
        let child = Command::new(&binary)
            .arg("-c")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `make test` brings it", binary.display()));
        self.process = Some(Process(child));
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn signal(&self, word: &str) {
        let Some(process) = &self.process else { return };
        let pid = process.0.id().to_string();
        assert!(Command::new("kill").args([word, &pid]).status().unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

/// One server, with `extra` lines of configuration.
pub(crate) fn single(directory: &Path, extra: &str) -> Server {
    let port = free_port();
    let store = directory.join("js");
    let text = format!(
        "listen: 127.0.0.1:{port}\nserver_name: alone\njetstream {{ store_dir: {store:?} }}\n{extra}\n"
    );
    let config = directory.join("nats.conf");
    std::fs::write(&config, text).unwrap();
    Server::new(config, port)
}

/// Three servers. `route` says by which port server `from` reaches the cluster port of server `to`.
pub(crate) fn cluster(directory: &Path, route: impl Fn(usize, usize, u16) -> u16) -> Vec<Server> {
    let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
    let server = |at: usize| {
        let (port, own) = ports[at];
        let routes: Vec<String> = (0..3)
            .filter(|to| *to != at)
            .map(|to| format!("\"nats://127.0.0.1:{}\"", route(at, to, ports[to].1)))
            .collect();
        let (store, routes) = (directory.join(format!("js{at}")), routes.join(", "));
        let text = format!(
            "listen: 127.0.0.1:{port}\nserver_name: n{at}\njetstream {{ store_dir: {store:?} }}\n\
             cluster {{ name: test, listen: 127.0.0.1:{own}, no_advertise: true, advertise: \"127.0.0.1:1\", pool_size: -1, routes: [{routes}] }}\n"
        );
        let config = directory.join(format!("n{at}.conf"));
        std::fs::write(&config, text).unwrap();
        Server::new(config, port)
    };
    (0..3).map(server).collect()
}

pub(crate) fn options(servers: &[&Server]) -> Options {
    super::client();
    Options {
        servers: servers.iter().map(|server| server.url()).collect(),
        replicas: if servers.len() > 1 { 3 } else { 1 },
        ..Options::default()
    }
}

/// A connection, as soon as the servers have found together.
pub(crate) async fn connect(options: &Options) -> Nats {
    until("NATS takes us", || async {
        match Nats::connect(options, System).await {
            Ok(nats) => Some(nats),
            Err(error) => {
                tracing::debug!(error = medevac::model::chain(&error), "not yet");
                None
            }
        }
    })
    .await
}
