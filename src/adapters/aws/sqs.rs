//! A queue on SQS.

use super::Cloud;
use crate::model::chain;
use crate::sources::sqs::{Message, Queue, QueueError};
use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        MessageSystemAttributeName,
    },
};
use std::time::Duration;

/// SQS hands out no more at a time.
const BATCH: i32 = 10;
/// Of a long poll, in seconds; SQS allows no more.
const WAIT: i32 = 20;

#[derive(Clone)]
pub struct Sqs {
    client: Client,
    cloud: Cloud,
    url: String,
    /// In seconds.
    visibility: i32,
}

impl Sqs {
    pub async fn new(cloud: &Cloud, url: &str, visibility: Duration) -> Sqs {
        let visibility = seconds(visibility);
        let client = Client::new(cloud.config().await);
        Sqs { client, cloud: cloud.clone(), url: url.to_owned(), visibility }
    }
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

/// In words that tell the operator what to do, where we know.
fn told(error: &(dyn std::error::Error + 'static)) -> QueueError {
    let why = chain(error);
    let hint = if why.contains("NonExistentQueue") || why.contains("QueueDoesNotExist") {
        ": there is no such queue; check `url` and `region`"
    } else if why.contains("AccessDenied") {
        ": the role needs sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility"
    } else if why.contains("credential") {
        ": no credentials were found; give the pod a role, or set AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE"
    } else if why.contains("region") {
        ": set `region` under `aws`, or AWS_REGION"
    } else {
        ""
    };
    QueueError(format!("{why}{hint}"))
}

impl Queue for Sqs {
    async fn receive(&self) -> Result<Vec<Message>, QueueError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(WAIT)
            .visibility_timeout(self.visibility)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| told(&error))?;
        let message = |message: aws_sdk_sqs::types::Message| {
            let count = MessageSystemAttributeName::ApproximateReceiveCount;
            let attributes = message.attributes.as_ref();
            let received = attributes.and_then(|all| all.get(&count)?.parse().ok());
            Some(Message {
                receipt: message.receipt_handle?,
                body: message.body.unwrap_or_default(),
                received: received.unwrap_or(1),
            })
        };
        Ok(received.messages.unwrap_or_default().into_iter().filter_map(message).collect())
    }

    async fn hide(&self, receipts: &[String], time: Duration) -> Result<(), QueueError> {
        for some in receipts.chunks(BATCH as usize) {
            let entries = some.iter().enumerate().map(|(at, receipt)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(at.to_string())
                    .receipt_handle(receipt)
                    .visibility_timeout(seconds(time))
                    .build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| told(&error))?;
            let request = self.client.change_message_visibility_batch().queue_url(&self.url);
            let done = request.set_entries(Some(entries)).send().await;
            refused(done.map_err(|error| told(&error))?.failed)?;
        }
        Ok(())
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        for some in receipts.chunks(BATCH as usize) {
            let entries = some.iter().enumerate().map(|(at, receipt)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(at.to_string())
                    .receipt_handle(receipt)
                    .build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| told(&error))?;
            let request = self.client.delete_message_batch().queue_url(&self.url);
            let done = request.set_entries(Some(entries)).send().await;
            refused(done.map_err(|error| told(&error))?.failed)?;
        }
        Ok(())
    }

    async fn patience(&self, group: &str, hook: &str) -> Option<Duration> {
        self.cloud.patience(group, hook).await
    }
}

/// A batch is accepted as a whole although some of it is not.
fn refused(failed: Vec<aws_sdk_sqs::types::BatchResultErrorEntry>) -> Result<(), QueueError> {
    match failed.first() {
        None => Ok(()),
        Some(first) => {
            let why = first.message().unwrap_or(first.code()).to_owned();
            Err(QueueError(format!("{} of a batch were refused: {why}", failed.len())))
        }
    }
}
