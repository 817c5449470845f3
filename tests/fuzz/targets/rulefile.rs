//! Rule files: read, checked, tests and all; formatted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medevac::model::Secret;
use medevac::rules::{self, Policy, Source};
use medevac::simulation::{scenario, trial};
use std::sync::Arc;

fuzz_target!(|text: &str| {
    let source = Arc::new(Source { path: "f".into(), text: text.into() });
    let faults = match rules::load(&[Arc::clone(&source)], &|_| Ok(Secret::new("s"))) {
        Ok(ruleset) => {
            Policy::production().faults(&ruleset);
            trial::mutants(&ruleset).take(20).for_each(drop);
            trial::load(&ruleset).err().unwrap_or_default()
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            faults
        }
    };
    faults.iter().for_each(|fault| drop((fault.line(), fault.render(false))));
    scenario::load(&source).err().unwrap_or_default();
    if let Ok(once) = rules::format(&source) {
        let again = Arc::new(Source { path: "f".into(), text: once.clone() });
        assert_eq!(rules::format(&again).expect("what was formatted can be"), once);
    }
});
