//! Other tools' rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medevac::model::Secret;
use medevac::rules::{self, Foreign, Source};
use std::sync::Arc;

fuzz_target!(|text: &str| {
    for from in [Foreign::Eda, Foreign::Talon, Foreign::Alertmanager] {
        let source = Arc::new(Source { path: "f".into(), text: text.into() });
        if let Ok(imported) = rules::import(from, &source) {
            let ours = Arc::new(Source { path: "o".into(), text: imported.text });
            rules::load(&[ours], &|_| Ok(Secret::new("s"))).ok();
        }
    }
});
