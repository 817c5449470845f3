//! AWS Backup's REST protocol: jobs that walk through their states, windows, tokens, recovery points, and its own errors.
//! Nothing else has it on loopback: moto knows of vaults and plans, and not of jobs.
//! Source of paths and shapes: AWS Backup API reference (restJson1).

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
};

#[derive(Default)]
struct Inner {
    /// In order of their beginning: id, resource, request.
    jobs: Vec<(String, String, Value)>,
    /// By token.
    tokens: BTreeMap<String, String>,
    /// States that each job still walks through, a look each; the last one stays.
    script: Vec<&'static str>,
    left: BTreeMap<String, VecDeque<&'static str>>,
    message: String,
    /// Jobs that found another at their resource.
    refused: BTreeSet<String>,
    /// What a recovery point's state is.
    point: String,
    throttled: u32,
    denies: bool,
    gibberish: bool,
    asked: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Vaults {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

type Shared = State<Arc<Mutex<Inner>>>;

const RUNNING: [&str; 4] = ["CREATED", "PENDING", "RUNNING", "ABORTING"];

impl Vaults {
    /// On loopback, with the vault `v`. It ends with the test.
    pub(crate) async fn start() -> Vaults {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner =
            Inner { script: vec!["COMPLETED"], point: "COMPLETED".into(), ..Inner::default() };
        let inner = Arc::new(Mutex::new(inner));
        let site = Router::new()
            .route("/backup-jobs", put(begin).get(list))
            .route("/backup-jobs/", get(list))
            .route("/backup-jobs/{id}", get(look))
            .route("/backup-vaults/{vault}/recovery-points/{arn}", get(point))
            .route("/resources/{arn}/recovery-points", get(points))
            .route("/resources/{arn}/recovery-points/", get(points))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
        Vaults { url, inner }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap())
    }

    /// Each look at a job finds the next of these states.
    pub(crate) fn walks(&self, script: &[&'static str], message: &str) {
        self.with(|inner| (inner.script, inner.message) = (script.to_vec(), message.into()));
    }

    pub(crate) fn point_is(&self, state: &str) {
        self.with(|inner| inner.point = state.into());
    }

    pub(crate) fn throttles(&self, requests: u32) {
        self.with(|inner| inner.throttled = requests);
    }

    pub(crate) fn denies(&self, denies: bool) {
        self.with(|inner| inner.denies = denies);
    }

    /// A proxy's page instead of an answer.
    pub(crate) fn speaks_gibberish(&self, gibberish: bool) {
        self.with(|inner| inner.gibberish = gibberish);
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.with(|inner| inner.jobs.iter().map(|(_, _, request)| request.clone()).collect())
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.with(|inner| inner.asked.clone())
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let body = json!({ "Code": code, "Message": message, "Type": "client" });
    (status, [("x-amzn-errortype", code)], Json(body)).into_response()
}

impl Inner {
    /// What goes wrong before anything is looked at.
    fn fault(&mut self, asked: &str) -> Option<Response> {
        self.asked.push(asked.to_owned());
        if self.gibberish {
            let page = "<html><body>502 Bad Gateway</body></html>";
            return Some((StatusCode::BAD_GATEWAY, page).into_response());
        }
        if self.denies {
            return Some(error(403, "AccessDeniedException", "not authorized to perform it"));
        }
        if self.throttled > 0 {
            self.throttled -= 1;
            return Some(error(400, "ThrottlingException", "Rate exceeded"));
        }
        None
    }

    fn state(&self, id: &str) -> &'static str {
        self.left.get(id).and_then(|left| left.front()).copied().unwrap_or("CREATED")
    }

    fn shown(&self, id: &str, resource: &str, request: &Value) -> Value {
        let state = self.state(id);
        let mut job = json!({
            "BackupJobId": id, "State": state, "ResourceArn": resource, "PercentDone": "0.0",
            "BackupVaultName": request["BackupVaultName"], "CreationDate": 1_767_225_600.5,
        });
        if self.refused.contains(id) && state == "FAILED" {
            job["StatusMessage"] = json!(
                "Backup job could not start because there is a running job for the same resource"
            );
        } else if !RUNNING.contains(&state) {
            job["StatusMessage"] = json!(self.message);
        }
        if state == "COMPLETED" {
            job["RecoveryPointArn"] =
                json!(format!("arn:aws:backup:eu-west-1:1:recovery-point:{id}"));
        }
        job
    }
}

async fn begin(State(inner): Shared, body: Bytes) -> Response {
    let mut inner = inner.lock().unwrap();
    if let Some(fault) = inner.fault("StartBackupJob") {
        return fault;
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    if text("BackupVaultName") != "v" {
        return error(400, "ResourceNotFoundException", "Backup vault does not exist");
    }
    if !text("IamRoleArn").contains(":role/") || !text("ResourceArn").starts_with("arn:") {
        return error(400, "InvalidParameterValueException", "Invalid ARN");
    }
    if request["StartWindowMinutes"].as_i64().is_some_and(|minutes| minutes < 60) {
        return error(400, "InvalidParameterValueException", "StartWindowMinutes is too short");
    }
    let token = text("IdempotencyToken");
    let known = inner.tokens.get(&token).cloned();
    let id = known.unwrap_or_else(|| {
        let id = format!("job-{}", inner.jobs.len() + 1);
        inner.tokens.insert(token, id.clone());
        // One job works on a resource at a time. It is said of the job, and not when it is asked for.
        let busy = inner.jobs.iter().any(|(other, of, _)| {
            *of == text("ResourceArn") && RUNNING.contains(&inner.state(other))
        });
        let script: VecDeque<&'static str> = match busy {
            true => ["CREATED", "FAILED"].into(),
            false => inner.script.iter().copied().collect(),
        };
        if busy {
            inner.refused.insert(id.clone());
        }
        inner.left.insert(id.clone(), script);
        inner.jobs.push((id.clone(), text("ResourceArn"), request.clone()));
        id
    });
    Json(json!({ "BackupJobId": id, "CreationDate": 1_767_225_600.5, "IsParent": false }))
        .into_response()
}

async fn look(State(inner): Shared, Path(id): Path<String>) -> Response {
    let mut inner = inner.lock().unwrap();
    if let Some(fault) = inner.fault("DescribeBackupJob") {
        return fault;
    }
    let Some((_, resource, request)) = inner.jobs.iter().find(|(known, ..)| *known == id).cloned()
    else {
        return error(400, "ResourceNotFoundException", "Backup job does not exist");
    };
    let shown = inner.shown(&id, &resource, &request);
    if let Some(left) = inner.left.get_mut(&id)
        && left.len() > 1
    {
        left.pop_front();
    }
    Json(shown).into_response()
}

async fn list(State(inner): Shared, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    let mut inner = inner.lock().unwrap();
    if let Some(fault) = inner.fault("ListBackupJobs") {
        return fault;
    }
    let wanted = asked.get("resourceArn");
    let jobs = inner.jobs.iter().filter(|(_, resource, _)| wanted.is_none_or(|it| it == resource));
    let jobs: Vec<Value> = jobs.map(|(id, of, request)| inner.shown(id, of, request)).collect();
    Json(json!({ "BackupJobs": jobs })).into_response()
}

async fn point(State(inner): Shared, Path((vault, arn)): Path<(String, String)>) -> Response {
    let mut inner = inner.lock().unwrap();
    if let Some(fault) = inner.fault("DescribeRecoveryPoint") {
        return fault;
    }
    if vault != "v" {
        return error(400, "ResourceNotFoundException", "Backup vault does not exist");
    }
    Json(json!({ "RecoveryPointArn": arn, "Status": inner.point, "CreationDate": 1_767_225_600.5 }))
        .into_response()
}

/// Two pages: the older one first.
async fn points(
    State(inner): Shared,
    Path(arn): Path<String>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    let mut inner = inner.lock().unwrap();
    if let Some(fault) = inner.fault("ListRecoveryPointsByResource") {
        return fault;
    }
    if !inner.jobs.iter().any(|(_, resource, _)| *resource == arn) {
        return Json(json!({ "RecoveryPoints": [] })).into_response();
    }
    let now = jiff::Timestamp::now().as_second();
    let of = |name: &str, age: i64, vault: &str, status: &str| {
        json!({ "RecoveryPointArn": format!("arn:{name}"), "CreationDate": (now - age) as f64,
            "Status": status, "BackupVaultName": vault })
    };
    Json(match asked.get("nextToken").map(String::as_str) {
        None => json!({ "RecoveryPoints": [of("old", 90_000, "v", "COMPLETED")], "NextToken": "2" }),
        Some(_) => json!({ "RecoveryPoints": [
            of("new", 600, "v", "COMPLETED"), of("partial", 60, "v", "PARTIAL"), of("elsewhere", 5, "other", "COMPLETED"),
        ] }),
    })
    .into_response()
}
