//! Real servers, started on loopback and stopped by pid.

use super::{client, free_port, until};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A server process. Dropped, it is killed.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Where `make` put the programs that the tests need.
pub(crate) fn cache() -> PathBuf {
    let home = std::env::var("HOME").unwrap_or_else(|_| ".".into());
    let base = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    std::env::var("MEDEVAC_CACHE").map_or_else(|_| Path::new(&base).join("medevac"), PathBuf::from)
}

pub(crate) struct Alertmanager {
    process: Process,
    pub(crate) url: String,
}

impl Alertmanager {
    /// A real one, from Debian, with that configuration.
    pub(crate) async fn start(directory: &Path, config: &str) -> Alertmanager {
        let binary = cache().join("alertmanager/usr/bin/prometheus-alertmanager");
        let binary = if binary.exists() { binary } else { "prometheus-alertmanager".into() };
        let file = directory.join("alertmanager.yml");
        std::fs::write(&file, config).unwrap();
        let port = free_port();
        let child = Command::new(&binary)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", directory.join("am").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `make test` brings it", binary.display()));
        let url = format!("http://127.0.0.1:{port}");
        ready("Alertmanager is ready", &url).await;
        Alertmanager { process: Process(child), url }
    }

    pub(crate) async fn post(&self, alerts: &serde_json::Value) {
        let response =
            client().post(format!("{}/api/v2/alerts", self.url)).json(alerts).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// Waits until a server of the Prometheus project serves.
async fn ready(what: &str, url: &str) {
    let ready = format!("{url}/-/ready");
    until(what, || async {
        let answer = client().get(&ready).send().await;
        answer.is_ok_and(|response| response.status().is_success()).then_some(())
    })
    .await;
}

/// A Python that reads YAML: moto's own.
pub(crate) fn python() -> PathBuf {
    let versions = std::fs::read_dir(cache()).unwrap().map(|entry| entry.unwrap().path());
    let mut moto: Vec<PathBuf> = versions
        .map(|path| path.join("bin/python"))
        .filter(|path| path.exists() && path.to_string_lossy().contains("/moto-"))
        .collect();
    moto.sort();
    moto.pop().unwrap_or_else(|| panic!("moto is not in the cache; `make test` brings it"))
}

pub(crate) struct Prometheus {
    _process: Process,
    pub(crate) url: String,
}

impl Prometheus {
    /// A real one, from Debian, with `prometheus.yml` of that directory.
    pub(crate) async fn start(directory: &Path) -> Prometheus {
        let port = free_port();
        let binary = cache().join("prometheus/usr/bin/prometheus");
        let child = Command::new(&binary)
            .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `make test` brings it", binary.display()));
        let url = format!("http://127.0.0.1:{port}");
        ready("Prometheus is ready", &url).await;
        Prometheus { _process: Process(child), url }
    }
}

/// Metrics that stay as they are, on a port of their own.
pub(crate) async fn exporter(series: &'static str) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app =
        axum::Router::new().route("/metrics", axum::routing::get(move || async move { series }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
