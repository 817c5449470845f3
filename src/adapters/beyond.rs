//! What a remediation reaches beyond the cluster: the web and the cloud.

use super::{aws::Cloud, web::WebClient};
use crate::model::{Answer, CloudCall};
use crate::remediation::{self, WebCall};

#[derive(Clone)]
pub struct Beyond {
    pub web: WebClient,
    pub cloud: Cloud,
}

impl remediation::Beyond for Beyond {
    async fn web(&self, call: WebCall) -> Answer {
        self.web.call(call).await
    }

    async fn cloud(&self, call: CloudCall) -> Answer {
        self.cloud.call(call).await
    }
}
