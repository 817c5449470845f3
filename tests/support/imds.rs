//! The instance metadata service as EC2 has it, and what AWS's own mock cannot do: go back to 404, change the action,
//! throttle, forget its tokens, fall silent, and tell of several things at once.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

const TOKEN: &str = "/latest/api/token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
pub(crate) const ACTION: &str = "/latest/meta-data/spot/instance-action";
pub(crate) const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
pub(crate) const SCHEDULED: &str = "/latest/meta-data/events/maintenance/scheduled";
pub(crate) const HISTORY: &str = "/latest/meta-data/events/maintenance/history";
pub(crate) const TARGET: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";
const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";

#[derive(Default)]
struct Inner {
    answers: BTreeMap<String, String>,
    tokens: BTreeSet<String>,
    given: u32,
    /// So many requests are answered with 429.
    throttled: u32,
    silent: bool,
    /// Requests that were answered, by path and status.
    asked: Vec<(String, u16)>,
}

#[derive(Clone)]
pub(crate) struct Imds {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Imds {
    /// The service of the machine with that id, on loopback. It ends with the test.
    pub(crate) async fn start(instance: &str) -> Imds {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner::default()));
        let document = json!({
            "accountId": "123456789012", "instanceId": instance, "instanceType": "p4d.24xlarge",
            "availabilityZone": "eu-west-1a", "region": "eu-west-1", "privateIp": "10.0.7.10",
        });
        let imds = Imds { url, inner: Arc::clone(&inner) };
        imds.says(DOCUMENT, &document.to_string());
        imds.says(SCHEDULED, "[]");
        imds.says(HISTORY, "[]");
        let site = Router::new().fallback(answer).with_state(inner);
        tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
        imds
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap())
    }

    pub(crate) fn says(&self, path: &str, body: &str) {
        self.with(|inner| inner.answers.insert(path.into(), body.into()));
    }

    pub(crate) fn interrupts(&self, action: &str, at: jiff::Timestamp) {
        let at = jiff::Timestamp::from_second(at.as_second()).unwrap();
        self.says(ACTION, &json!({ "action": action, "time": at }).to_string());
    }

    /// 404 from now on.
    pub(crate) fn forgets(&self, path: &str) {
        self.with(|inner| inner.answers.remove(path));
    }

    pub(crate) fn drops_tokens(&self) {
        self.with(|inner| inner.tokens.clear());
    }

    pub(crate) fn throttles(&self, requests: u32) {
        self.with(|inner| inner.throttled = requests);
    }

    pub(crate) fn silent(&self, silent: bool) {
        self.with(|inner| inner.silent = silent);
    }

    /// How often it answered that path with that status.
    pub(crate) fn answered(&self, path: &str, status: u16) -> usize {
        self.with(|inner| inner.asked.iter().filter(|it| it.0 == path && it.1 == status).count())
    }

    pub(crate) fn tokens_given(&self) -> u32 {
        self.with(|inner| inner.given)
    }
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, request: Request) -> Response<Body> {
    let silent = inner.lock().unwrap().silent;
    if silent {
        // Where the hop limit is 1 the answer to a pod is dropped on the way.
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let mut inner = inner.lock().unwrap();
    let path = request.uri().path().to_owned();
    let (status, body, ttl) = inner.decide(&request, &path);
    inner.asked.push((path, status.as_u16()));
    let mut response = Response::builder().status(status);
    if let Some(ttl) = ttl {
        response = response.header(TTL, ttl);
    }
    response.body(Body::from(body)).unwrap()
}

impl Inner {
    fn decide(&mut self, request: &Request, path: &str) -> (StatusCode, String, Option<u64>) {
        let page = |status: StatusCode| (status, page(status), None);
        let header = |name: &str| request.headers().get(name)?.to_str().ok();
        if self.throttled > 0 {
            self.throttled -= 1;
            return page(StatusCode::TOO_MANY_REQUESTS);
        }
        if path == TOKEN && request.method() == "PUT" {
            let ttl = header(TTL).and_then(|ttl| ttl.parse::<u64>().ok());
            let Some(ttl) = ttl.filter(|ttl| (1..=21_600).contains(ttl)) else {
                return page(StatusCode::BAD_REQUEST);
            };
            self.given += 1;
            let token = format!("AQAEA{}==", self.given);
            self.tokens.insert(token.clone());
            return (StatusCode::OK, token, Some(ttl));
        }
        match header("x-aws-ec2-metadata-token") {
            Some(token) if self.tokens.contains(token) => {}
            Some(_) | None => return page(StatusCode::UNAUTHORIZED),
        }
        match self.answers.get(path) {
            Some(body) => (StatusCode::OK, body.clone(), None),
            None => page(StatusCode::NOT_FOUND),
        }
    }
}

/// The service's refusals are pages.
fn page(status: StatusCode) -> String {
    let title = format!("{} - {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    )
}

/// The body of a captured exchange: what stands after its headers.
pub(crate) fn captured(file: &str, request: &str) -> (u16, String) {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/imds");
    let text = std::fs::read_to_string(format!("{dir}/{file}")).unwrap();
    let part = text
        .split("# ")
        .find(|part| part.lines().next().is_some_and(|line| line.contains(request)));
    let part = part.unwrap_or_else(|| panic!("{file} has no {request}"));
    let answer = part.split_once('\n').unwrap().1.replace("\r\n", "\n");
    let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.trim().to_owned())
}

pub(crate) fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}
