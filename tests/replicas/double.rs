//! The API that remediations call: it knows its callers by their keys, as an idempotent API does.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::HeaderMap,
    routing::post,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Target and verb to the keys they were done under.
    pub(crate) effects: BTreeMap<(String, String), BTreeSet<String>>,
    /// Calls whose key was known already: nothing was done.
    pub(crate) repeated: u64,
    /// Plans that have begun and not ended.
    running: BTreeSet<String>,
    pub(crate) most_running: usize,
}

#[derive(Clone)]
pub(crate) struct Double {
    pub(crate) port: u16,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
}

impl Double {
    pub(crate) async fn start() -> Double {
        let ledger: Arc<Mutex<Ledger>> = Arc::default();
        let router = Router::new().route("/{verb}", post(call)).with_state(Arc::clone(&ledger));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum_serve(listener, router).await });
        Double { port, ledger }
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let io = hyper_util::rt::TokioIo::new(stream);
            hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.ok();
        });
    }
}

async fn call(
    State(ledger): State<Arc<Mutex<Ledger>>>,
    Path(verb): Path<String>,
    headers: HeaderMap,
    Json(plan): Json<Value>,
) -> Json<Value> {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let (id, target) = (plan["id"].as_str().unwrap(), plan["target"].as_str().unwrap().to_owned());
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    if !ledger.effects.entry((target, verb.clone())).or_default().insert(key) {
        ledger.repeated += 1;
        return Json(json!({ "done": "before" }));
    }
    if verb == "begin" {
        ledger.running.insert(id.to_owned());
    } else {
        ledger.running.remove(id);
    }
    ledger.most_running = ledger.most_running.max(ledger.running.len());
    Json(json!({ "done": "now" }))
}
