//! The streams and buckets as they should be, and what to do where they are not: say it, never change it.
//!
//! `MEDEVAC` is the log: events, decisions, plans and outcomes in one order, because every state is a fold over
//! that order and JetStream orders within a stream only. `MEDEVAC_DECISIONS`, `MEDEVAC_OUTCOMES` and
//! `MEDEVAC_DEAD` are the server's own copies of a part of it, kept longer, for auditors and for other programs.

use super::feed::{FEED_STREAM, FEED_SUBJECT};
use super::{ConnectError, Options, link::Link};
use crate::log::{Stream, bucket};
use async_nats::jetstream::{
    ErrorCode,
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, RetentionPolicy, Source, StorageType},
};
use std::time::Duration;

pub(super) const LOG: &str = "MEDEVAC";
/// Carries which replica writes: a message here refuses whoever wrote before.
pub(super) const FENCE: &str = "medevac.fence";
/// Fills positions that were empty in a log that was moved here.
pub(super) const GAP: &str = "medevac.gap";

pub(super) fn kv_stream(bucket: &str) -> String {
    format!("KV_MEDEVAC_{bucket}")
}

/// All subjects of `stream`.
pub(super) fn all_of(stream: Stream) -> String {
    format!("medevac.{}.>", stream.word())
}

fn base(name: &str, options: &Options) -> Config {
    Config {
        name: name.into(),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        num_replicas: options.replicas,
        // Zero is no limit to us, minus one to the server.
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: -1,
        ..Config::default()
    }
}

fn log(options: &Options) -> Config {
    let mut subjects: Vec<String> = Stream::ALL.into_iter().map(all_of).collect();
    subjects.extend([FENCE.to_owned(), GAP.to_owned()]);
    Config {
        subjects,
        description: Some("medevac: the log, in one order".into()),
        // What is full refuses: nothing that was accepted makes room for what was not.
        discard: DiscardPolicy::New,
        max_bytes: i64::try_from(options.max_bytes).ok().filter(|most| *most > 0).unwrap_or(-1),
        max_age: options.max_age,
        duplicate_window: options.duplicates,
        allow_atomic_publish: true,
        allow_direct: true,
        ..base(LOG, options)
    }
}

/// A copy that the server keeps of a part of the log.
fn view(name: &str, streams: &[Stream], options: &Options) -> Config {
    let source = |stream: &Stream| Source {
        name: LOG.into(),
        filter_subject: Some(all_of(*stream)),
        ..Source::default()
    };
    Config {
        description: Some("medevac: a part of the log, kept longer; copied by the server".into()),
        sources: Some(streams.iter().map(source).collect()),
        discard: DiscardPolicy::Old,
        max_age: options.views,
        allow_direct: true,
        ..base(name, options)
    }
}

/// What agents tell, until a daemon has it. A notice that is older than an hour helps nobody.
fn feed(options: &Options) -> Config {
    Config {
        subjects: vec![format!("{FEED_SUBJECT}.>")],
        description: Some("medevac: what agents tell, until the log has it".into()),
        discard: DiscardPolicy::New,
        max_age: Duration::from_secs(3600),
        duplicate_window: Duration::from_secs(600),
        ..base(FEED_STREAM, options)
    }
}

fn keys(bucket: &str, options: &Options) -> Config {
    Config {
        subjects: vec![format!("$KV.MEDEVAC_{bucket}.>")],
        description: Some(format!("medevac: {bucket}")),
        discard: DiscardPolicy::New,
        max_messages_per_subject: 1,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        allow_message_ttl: true,
        duplicate_window: Duration::from_secs(120),
        ..base(&kv_stream(bucket), options)
    }
}

fn wanted(options: &Options) -> Vec<Config> {
    let mut all = vec![log(options), feed(options)];
    if !options.views.is_zero() {
        all.push(view("MEDEVAC_DECISIONS", &[Stream::Decisions, Stream::Plans], options));
        all.push(view("MEDEVAC_OUTCOMES", &[Stream::Outcomes], options));
        all.push(view("MEDEVAC_DEAD", &[Stream::Dead], options));
    }
    all.extend(bucket::ALL.into_iter().map(|bucket| keys(bucket, options)));
    all
}

/// A setting that is not as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub stream: String,
    pub setting: &'static str,
    pub is: String,
    pub wanted: String,
    /// The log cannot work with it.
    pub fatal: bool,
}

fn differences(is: &Config, want: &Config) -> Vec<Difference> {
    let mut all = vec![];
    let mut compare = |setting: &'static str, is: String, wanted: String, fatal: bool| {
        if is != wanted {
            all.push(Difference { stream: want.name.clone(), setting, is, wanted, fatal });
        }
    };
    let mut sorted = (is.subjects.clone(), want.subjects.clone());
    sorted.0.sort();
    sorted.1.sort();
    compare("subjects", sorted.0.join(" "), sorted.1.join(" "), true);
    let sources = |config: &Config| {
        let sources = config.sources.iter().flatten();
        let named =
            sources.map(|s| format!("{}:{}", s.name, s.filter_subject.as_deref().unwrap_or(">")));
        named.collect::<Vec<_>>().join(" ")
    };
    compare("sources", sources(is), sources(want), false);
    compare("storage", format!("{:?}", is.storage), format!("{:?}", want.storage), false);
    compare("retention", format!("{:?}", is.retention), format!("{:?}", want.retention), true);
    compare("discard", format!("{:?}", is.discard), format!("{:?}", want.discard), false);
    compare("replicas", is.num_replicas.to_string(), want.num_replicas.to_string(), false);
    compare("max_age", age(is.max_age), age(want.max_age), false);
    let bytes = |most: i64| if most <= 0 { "no limit".to_owned() } else { most.to_string() };
    compare("max_bytes", bytes(is.max_bytes), bytes(want.max_bytes), false);
    compare("duplicate_window", age(is.duplicate_window), age(want.duplicate_window), false);
    let flag = |on: bool| on.to_string();
    compare("allow_atomic", flag(is.allow_atomic_publish), flag(want.allow_atomic_publish), true);
    compare("allow_msg_ttl", flag(is.allow_message_ttl), flag(want.allow_message_ttl), true);
    let history = |config: &Config| config.max_messages_per_subject.max(0).to_string();
    compare("max_msgs_per_subject", history(is), history(want), true);
    all
}

fn age(span: Duration) -> String {
    if span.is_zero() { "no limit".into() } else { format!("{} s", span.as_secs()) }
}

/// Makes what is missing, and tells what differs.
///
/// # Errors
/// Where a stream cannot be made, or cannot be worked with as it is.
pub(super) async fn reconcile(
    link: &Link,
    options: &Options,
) -> Result<Vec<Difference>, ConnectError> {
    let mut all = vec![];
    for want in wanted(options) {
        let bad =
            |why: String, passes| ConnectError::Stream { stream: want.name.clone(), why, passes };
        let known = match link.jetstream.get_stream(&want.name).await {
            Ok(stream) => Some(stream.cached_info().config.clone()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    None
                }
                GetStreamErrorKind::JetStream(fault) => {
                    return Err(bad(error.to_string(), fault.code() >= 500));
                }
                _ => return Err(bad(error.to_string(), true)),
            },
        };
        let is = match known {
            Some(is) => is,
            // Another replica may have made it a moment ago: the same again is no fault to the server.
            None => link
                .jetstream
                .create_stream(want.clone())
                .await
                .map(|stream| stream.cached_info().config.clone())
                .map_err(|error| bad(error.to_string(), error.to_string().contains("timed out")))?,
        };
        all.extend(differences(&is, &want));
    }
    if let Some(fatal) = all.iter().find(|difference| difference.fatal) {
        let Difference { setting, is, wanted, .. } = fatal;
        let why = format!("its {setting} is {is}, and has to be {wanted}; nothing was changed");
        return Err(ConnectError::Stream { stream: fatal.stream.clone(), why, passes: false });
    }
    for Difference { stream, setting, is, wanted, .. } in &all {
        tracing::warn!(
            stream,
            setting,
            is,
            wanted,
            "differs from the configuration and is left as it is; `nats stream edit` changes it"
        );
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told_and_those_that_matter_are_fatal() {
        let options = Options { replicas: 3, ..Options::default() };
        let want = log(&options);
        assert_eq!(differences(&want, &want), vec![]);
        let is = Config { num_replicas: 1, allow_atomic_publish: false, ..want.clone() };
        let told: Vec<(&str, bool)> =
            differences(&is, &want).iter().map(|one| (one.setting, one.fatal)).collect();
        assert_eq!(told, [("replicas", false), ("allow_atomic", true)]);
    }
}
