//! The small languages: durations, targets, templates, times of a record, the configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medevac::model::{Span, Target, Template};
use medevac::rules::Source;
use std::sync::Arc;

fuzz_target!(|text: &str| {
    if let Ok(span) = text.parse::<Span>() {
        assert_eq!(span.to_string().parse::<Span>().expect("what is written is read"), span);
    }
    if let Ok(target) = text.parse::<Target>() {
        assert_eq!(target.to_string().parse::<Target>().expect("what is written is read"), target);
    }
    Target::lenient(text);
    text.parse::<Template>().ok();
    let source = Arc::new(Source { path: "f".into(), text: text.into() });
    medevac::config::load(&source).ok();
});
