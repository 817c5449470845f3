//! A program in a pod's container, waited for.

use super::answer::answer;
use crate::model::{Answer, Refusal};
use k8s_openapi::api::core::v1 as core;
use kube::{
    Api,
    api::{AttachParams, AttachedProcess},
    client::UpgradeConnectionError,
};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Of what it prints the end is kept: a program that talks all the time says what matters last.
const KEPT: usize = 16 << 10;

pub(super) async fn exec(
    pods: &Api<core::Pod>,
    name: &str,
    container: Option<String>,
    command: Vec<String>,
    timeout: Duration,
) -> Answer {
    let mut params = AttachParams::default().stdin(false).stdout(true).stderr(true);
    params.container = container;
    let process = match pods.exec(name, command, &params).await {
        Ok(process) => process,
        // The server says no more than the number where it does not let a connection be upgraded.
        Err(kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)))
            if code.as_u16() == 403 =>
        {
            let why = "the right `get` or `create` on `pods/exec` is missing: grant both";
            return Answer::Refused(Refusal::Forbidden(why.into()));
        }
        Err(error) => return answer::<()>(Err(error)),
    };
    match tokio::time::timeout(timeout, ended(process)).await {
        Ok(answer) => answer,
        Err(_) => Answer::Unknown(format!("it has not ended within {} s", timeout.as_secs())),
    }
}

async fn ended(mut process: AttachedProcess) -> Answer {
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let status = process.take_status();
    let status = async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    let (said, complaint, status) = futures_util::join!(end_of(stdout), end_of(stderr), status);
    let Some(status) = status else {
        return Answer::Unknown("the connection ended before the program did".into());
    };
    if status.status.as_deref() == Some("Success") {
        return if said.trim().is_empty() { Answer::Done } else { Answer::Said(said) };
    }
    let last = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    let why = status.message.unwrap_or_else(|| "it failed".into());
    Answer::Refused(Refusal::Invalid(if last.is_empty() { why } else { format!("{why}: {last}") }))
}

async fn end_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut some) = (vec![], vec![0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut some).await {
        kept.extend_from_slice(&some[..read]);
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
