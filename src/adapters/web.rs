//! Calls to the outside: `http` steps to hosts that the configuration lists, and to no other; pods asked for a
//! checkpoint at their own address; requests on NATS.

use crate::model::{Answer, Refusal, chain};
use crate::remediation::{Road, WebCall};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

#[derive(Clone)]
pub struct WebClient {
    client: reqwest::Client,
    hosts: Arc<BTreeSet<String>>,
    nats: Option<async_nats::Client>,
}

impl WebClient {
    /// `hosts`: names or addresses, with a port where it is not the scheme's own.
    pub fn new(client: reqwest::Client, hosts: BTreeSet<String>) -> WebClient {
        WebClient { client, hosts: Arc::new(hosts), nats: None }
    }

    /// The same, with a connection for requests on NATS.
    pub fn with_nats(self, nats: Option<async_nats::Client>) -> WebClient {
        WebClient { nats, ..self }
    }
}

/// Sixteen ids of ours, and some room.
const LONGEST_CAUSE: usize = 1024;
/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 64 << 10;

fn refused(why: String) -> Answer {
    Answer::Refused(Refusal::Invalid(why))
}

impl WebClient {
    pub async fn call(&self, call: WebCall) -> Answer {
        if call.road == Road::Nats {
            return self.request(&call).await;
        }
        let url: reqwest::Url = match call.url.parse() {
            Ok(url) => url,
            Err(error) => return refused(format!("the URL cannot be used: {error}")),
        };
        let name = url.host_str().unwrap_or_default().to_owned();
        let host = url.port().map_or(name.clone(), |port| format!("{name}:{port}"));
        let allowed = match call.road {
            Road::Pod => pod_address(&name).is_some_and(reachable),
            Road::Listed | Road::Nats => self.hosts.contains(&host),
        };
        if !allowed && call.road == Road::Pod {
            return refused(format!("`{name}` is no address of a pod"));
        }
        if !allowed {
            return refused(format!(
                "`{host}` is not among the hosts that `http` steps may call; add --http-host {host}"
            ));
        }
        self.send(call, url, &host).await
    }

    async fn send(&self, call: WebCall, url: reqwest::Url, host: &str) -> Answer {
        let Ok(method) = call.method.parse() else {
            return refused(format!("no method `{}`", call.method));
        };
        // Part of the chain may be a stranger's: what is no header is not sent as one.
        let printable = call.cause.len() <= LONGEST_CAUSE
            && call.cause.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let cause = if printable { call.cause.as_str() } else { "" };
        let request = self
            .client
            .request(method, url)
            .timeout(call.timeout)
            .header("Idempotency-Key", &call.key)
            .header("ce-cause", cause)
            .header("Content-Type", "application/json")
            .body(call.body);
        match request.send().await.map(|response| (response.status().as_u16(), response)) {
            Ok((200..=299, response)) if call.road == Road::Pod => said(response).await,
            Ok((200..=299, _)) => Answer::Done,
            Ok((status @ (408 | 425 | 429 | 500..), _)) => Answer::Refused(Refusal::Busy {
                retry_after: None,
                message: format!("{host} answered {status}"),
            }),
            Ok((status, _)) => refused(format!("{host} answered {status}")),
            Err(error) if error.is_builder() => refused(error.without_url().to_string()),
            Err(error) if error.is_connect() => {
                let message = format!("{host} cannot be reached");
                Answer::Refused(Refusal::Busy { retry_after: None, message })
            }
            Err(error) => Answer::Unknown(error.without_url().to_string()),
        }
    }

    /// A request on NATS. Its answer is what whoever listens there says.
    async fn request(&self, call: &WebCall) -> Answer {
        let subject = call.url.trim_start_matches("nats:").to_owned();
        let Some(nats) = &self.nats else {
            return refused(format!("`{subject}` is asked on NATS, and the log is not there"));
        };
        let asked = nats.request(subject.clone(), call.body.clone().into());
        match tokio::time::timeout(call.timeout, asked).await {
            Ok(Ok(reply)) if reply.payload.is_empty() => Answer::Done,
            Ok(Ok(reply)) => Answer::Said(end_of(&reply.payload)),
            Ok(Err(error)) => Answer::Refused(Refusal::Busy {
                retry_after: None,
                message: format!("nobody answers on `{subject}`: {}", chain(&error)),
            }),
            Err(_) => Answer::Unknown(format!("no answer on `{subject}`")),
        }
    }
}

fn end_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_ANSWER)]).into_owned()
}

/// What a pod answers to a request for a checkpoint: 202 without a word means that it has begun.
async fn said(mut response: reqwest::Response) -> Answer {
    let begun = response.status().as_u16() == 202;
    let mut body = vec![];
    while let Ok(Some(more)) = response.chunk().await {
        body.extend_from_slice(&more);
        if body.len() >= LONGEST_ANSWER {
            break;
        }
    }
    match (body.is_empty(), begun) {
        (false, _) => Answer::Said(end_of(&body)),
        (true, true) => Answer::Said(r#"{"state":"acknowledged"}"#.into()),
        (true, false) => Answer::Done,
    }
}

fn pod_address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// No pod has an address of these: whoever could write one into a pod's status would else reach the daemon itself,
/// or the metadata service of its machine.
fn reachable(address: IpAddr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().is_some();
            let link_local = v6.segments()[0] & 0xffc0 == 0xfe80;
            !(mapped
                || link_local
                || v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == METADATA)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_pods_address_is_called() {
        for good in ["10.0.3.7", "100.64.1.2", "[fd12::7]"] {
            assert!(pod_address(good).is_some_and(reachable), "{good}");
        }
        for bad in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "[::1]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[::ffff:127.0.0.1]",
            "224.0.0.1",
            "evil.example",
        ] {
            assert!(!pod_address(bad).is_some_and(reachable), "{bad}");
        }
    }
}
