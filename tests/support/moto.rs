//! moto: AWS's APIs on loopback, with SQS's real visibility and long polls.

use super::{
    client, free_port,
    servers::{Process, cache},
    until,
};
use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_sqs::{Client, types::QueueAttributeName};
use medevac::adapters::aws::Cloud;
use medevac::config::{Leftover, QueueSource};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

pub(crate) struct Moto {
    _process: Process,
    pub(crate) url: String,
}

/// How AWS is reached there.
pub(crate) async fn config(endpoint: &str) -> SdkConfig {
    client();
    let cloud = Cloud::new(Some("eu-west-1".into()), Some(endpoint.into()));
    let shared = cloud.config().await.clone();
    let credentials = Credentials::new("testing", "testing", None, None, "tests");
    let provider = SharedCredentialsProvider::new(credentials);
    shared.into_builder().credentials_provider(provider).build()
}

/// The same, as the daemon has it.
pub(crate) async fn cloud(endpoint: &str) -> Cloud {
    Cloud::with(config(endpoint).await, Some(endpoint.into()))
}

/// A queue read by one receiver, hidden for the shortest time that leaves room to work.
pub(crate) fn source(url: &str) -> QueueSource {
    QueueSource {
        url: url.into(),
        receivers: 1,
        visibility: Duration::from_secs(4),
        foreign: Leftover::Delete,
        broken: Leftover::Delete,
    }
}

impl Moto {
    pub(crate) async fn start() -> Moto {
        let version = include_str!("../tools/moto.txt");
        let version = version.lines().find_map(|line| line.strip_prefix("moto==")).unwrap();
        let binary = cache().join(format!("moto-{version}/bin/moto_server"));
        let port = free_port();
        let child = Command::new(&binary)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `make test` brings it", binary.display()));
        let moto = Moto { _process: Process(child), url: format!("http://127.0.0.1:{port}") };
        let ready = format!("{}/moto-api/data.json", moto.url);
        until("moto is ready", || async {
            let answer = client().get(&ready).send().await;
            answer.is_ok_and(|response| response.status().is_success()).then_some(())
        })
        .await;
        moto
    }

    pub(crate) async fn queue(&self, name: &str) -> Queue {
        let client = Client::new(&config(&self.url).await);
        let made = client.create_queue().queue_name(name).send().await.unwrap();
        Queue { client, url: made.queue_url.unwrap() }
    }
}

impl Moto {
    /// An S3 bucket, with a client that reaches it there.
    pub(crate) async fn bucket(&self, name: &str) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&config(&self.url).await);
        let client = aws_sdk_s3::Client::from_conf(config.force_path_style(true).build());
        let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
            .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuWest1)
            .build();
        let make = client.create_bucket().bucket(name).create_bucket_configuration(place);
        make.send().await.unwrap();
        client
    }
}

pub(crate) struct Queue {
    client: Client,
    pub(crate) url: String,
}

impl Queue {
    pub(crate) async fn send(&self, body: &str) {
        let send = self.client.send_message().queue_url(&self.url).message_body(body);
        send.send().await.unwrap();
    }

    /// Messages that are visible, and messages that somebody has.
    pub(crate) async fn count(&self) -> (u32, u32) {
        let (visible, hidden) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        let ask = self.client.get_queue_attributes().queue_url(&self.url);
        let ask = ask.attribute_names(visible.clone()).attribute_names(hidden.clone());
        let all = ask.send().await.unwrap().attributes.unwrap();
        (all[&visible].parse().unwrap(), all[&hidden].parse().unwrap())
    }

    pub(crate) async fn empties(&self) {
        until("the queue is empty", || async { (self.count().await == (0, 0)).then_some(()) })
            .await;
    }
}
