//! What moto lacks of EC2, Auto Scaling and SQS, in front of it: client tokens that count, capacity that is not to be had,
//! throttling, answers that are lost on the way.

use super::client;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

#[derive(Default)]
struct Inner {
    behind: String,
    /// Requests of an action that are refused for being too many.
    throttled: BTreeMap<String, u32>,
    /// Requests of an action that are done and not answered.
    lost: BTreeMap<String, u32>,
    /// Instance types and groups that have nothing.
    dry: BTreeSet<String>,
    /// What a dry group is asked to have.
    desired: BTreeMap<String, String>,
    /// What was answered to a client token.
    tokens: BTreeMap<String, (u16, String)>,
    asked: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Weather {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Weather {
    /// On loopback, in front of that. It ends with the test.
    pub(crate) async fn start(behind: &str) -> Weather {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner { behind: behind.into(), ..Inner::default() };
        let inner = Arc::new(Mutex::new(inner));
        let site = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
        Weather { url, inner }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap())
    }

    pub(crate) fn throttles(&self, action: &str, requests: u32) {
        self.with(|inner| inner.throttled.insert(action.into(), requests));
    }

    pub(crate) fn loses(&self, action: &str, answers: u32) {
        self.with(|inner| inner.lost.insert(action.into(), answers));
    }

    /// An instance type or a group has nothing.
    pub(crate) fn dries_up(&self, what: &str) {
        self.with(|inner| inner.dry.insert(what.into()));
    }

    /// How often an action was asked.
    pub(crate) fn asked(&self, action: &str) -> usize {
        self.with(|inner| inner.asked.iter().filter(|it| *it == action).count())
    }

    pub(crate) fn wanted(&self, group: &str) -> Option<String> {
        self.with(|inner| inner.desired.get(group).cloned())
    }
}

type Fields = BTreeMap<String, String>;

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map(String::as_str).unwrap_or_default()
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = String::from_utf8_lossy(&body).into_owned();
    let form = reqwest::Url::parse(&format!("http://form/?{text}")).unwrap();
    let fields: Fields = form.query_pairs().into_owned().collect();
    // SQS speaks JSON, and says in a header what it is asked for.
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    let json = target.and_then(|it| it.strip_prefix("AmazonSQS."));
    let action = json.unwrap_or(field(&fields, "Action")).to_owned();
    let before = {
        let mut inner = inner.lock().unwrap();
        inner.asked.push(action.clone());
        inner.instead(&action, &fields)
    };
    if let Some((status, body)) = before {
        return if json.is_some() { said(JSON, status, body) } else { xml(status, body) };
    }
    let behind = format!("{}{uri}", inner.lock().unwrap().behind);
    let mut forward = client().request(method, behind).body(body);
    for (name, value) in &headers {
        if !matches!(name.as_str(), "host" | "content-length") {
            forward = forward.header(name, value);
        }
    }
    let answered = forward.send().await.unwrap();
    let (status, body) = (answered.status().as_u16(), answered.text().await.unwrap());
    let mut inner = inner.lock().unwrap();
    let token = field(&fields, "ClientToken");
    if action == "CreateFleet" && !token.is_empty() {
        inner.tokens.insert(token.into(), (status, body.clone()));
    }
    if inner.takes(&action, |inner| &mut inner.lost) {
        if json.is_some() {
            return said(JSON, 500, "{\"__type\":\"com.amazonaws.sqs#InternalError\"}".into());
        }
        return xml(
            500,
            "<Response><Errors><Error><Code>InternalError</Code></Error></Errors></Response>"
                .into(),
        );
    }
    let body = match (inner.desired.values().next(), body.split_once("<DesiredCapacity>")) {
        (Some(desired), Some((head, rest))) => {
            let (_, tail) = rest.split_once('<').unwrap();
            format!("{head}<DesiredCapacity>{desired}<{tail}")
        }
        _ => body,
    };
    if json.is_some() { said(JSON, status, body) } else { xml(status, body) }
}

const JSON: &str = "application/x-amz-json-1.0";

fn xml(status: u16, body: String) -> Response {
    said("text/xml", status, body)
}

fn said(content: &'static str, status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(CONTENT_TYPE, content)], body).into_response()
}

impl Inner {
    fn takes(
        &mut self,
        action: &str,
        of: impl Fn(&mut Inner) -> &mut BTreeMap<String, u32>,
    ) -> bool {
        let Some(left) = of(self).get_mut(action).filter(|left| **left > 0) else { return false };
        *left -= 1;
        true
    }

    /// What is answered without moto.
    fn instead(&mut self, action: &str, fields: &Fields) -> Option<(u16, String)> {
        if self.takes(action, |inner| &mut inner.throttled) {
            let (code, text) = ("RequestLimitExceeded", "Request limit exceeded.");
            let ec2 = format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors></Response>"
            );
            let scaling = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
            let sqs =
                "{\"__type\":\"com.amazonaws.sqs#RequestThrottled\",\"message\":\"Rate exceeded\"}";
            return Some(match action {
                of if of.contains("Scaling") || of.contains("Capacity") => (400, scaling.into()),
                of if of.contains("Message") => (400, sqs.into()),
                _ => (503, ec2),
            });
        }
        let group = field(fields, "AutoScalingGroupName");
        match action {
            "CreateFleet" => {
                if let Some(known) = self.tokens.get(field(fields, "ClientToken")) {
                    return Some(known.clone());
                }
                let kinds = fields.iter().filter(|(key, _)| key.ends_with("InstanceType"));
                let dry = kinds.map(|(_, kind)| kind).find(|kind| self.dry.contains(*kind))?;
                Some((200, empty_fleet(dry)))
            }
            "SetDesiredCapacity" if self.dry.contains(group) => {
                self.desired.insert(group.into(), field(fields, "DesiredCapacity").into());
                Some((200, "<SetDesiredCapacityResponse/>".into()))
            }
            "DescribeScalingActivities" if self.dry.contains(group) => {
                Some((200, failed_launch(group)))
            }
            _ => None,
        }
    }
}

/// As EC2 answers where nothing could be launched: 200, and an error set.
fn empty_fleet(kind: &str) -> String {
    format!(
        "<CreateFleetResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId>\
         <fleetId>fleet-1</fleetId><fleetInstanceSet/><errorSet><item><lifecycle>on-demand</lifecycle>\
         <errorCode>InsufficientInstanceCapacity</errorCode>\
         <errorMessage>There is no Spot or On-Demand capacity of {kind} available.</errorMessage>\
         </item></errorSet></CreateFleetResponse>"
    )
}

fn failed_launch(group: &str) -> String {
    let now = jiff::Timestamp::now();
    format!(
        "<DescribeScalingActivitiesResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
         <DescribeScalingActivitiesResult><Activities><member><ActivityId>1</ActivityId>\
         <AutoScalingGroupName>{group}</AutoScalingGroupName>\
         <Cause>a user request</Cause><StartTime>{now:.0}</StartTime>\
         <Description>Launching a new EC2 instance.  Status Reason: Could not launch</Description>\
         <StatusCode>Failed</StatusCode><StatusMessage>We currently do not have sufficient p5.48xlarge capacity in the Availability Zone you requested (eu-west-1a). Launching EC2 instance failed.</StatusMessage>\
         <Progress>100</Progress></member></Activities></DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>"
    )
}
