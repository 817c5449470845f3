//! What senders post.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medevac::clock::System;
use medevac::simulation::{Practice, World};
use medevac::sources::{alertmanager, cloudevents, preview};
use serde_json::Map;

fuzz_target!(|body: &[u8]| {
    let now = jiff::Timestamp::UNIX_EPOCH;
    alertmanager::read(body, now).ok();
    for kind in ["application/cloudevents+json", "application/cloudevents-batch+json", "text/plain"] {
        cloudevents::read(kind, Map::new(), body, now).ok();
    }
    preview(body, &Practice::new(World::default(), System), None, now).ok();
});
