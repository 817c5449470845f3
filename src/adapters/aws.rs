//! AWS: one way to reach it for every service.
//!
//! Credentials are found as every AWS program finds them: environment, web identity of the pod, the machine's role.
//! One TLS stack, the rest of the program's own.

mod backup;
mod capacity;
mod cloud;
mod policy;
mod sqs;

pub use cloud::Cloud;
pub use policy::{Named, policy};
pub use sqs::Sqs;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::{Builder, tls};
use std::time::Duration;

/// A long poll waits for 20 s; whatever takes longer has been lost on the way.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);

/// What the services are reached with. `region` and `endpoint` where the configuration names them.
async fn configure(region: Option<&str>, endpoint: Option<&str>) -> SdkConfig {
    let http = Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3));
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}
