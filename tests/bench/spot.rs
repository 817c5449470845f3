//! What a notice costs on one core: from the body of a queue's message to the rules that hear it. No assertion:
//! machines differ. Beside it reading the same bodies as JSON and no more, as a lower bound.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]
#![expect(clippy::print_stdout, reason = "a benchmark")]

use jiff::Timestamp;
use medevac::adapters::rulefiles;
use medevac::model::{Node, Secret, Target};
use medevac::rules::{self, Facts};
use medevac::sources::aws::{self, Read};
use std::{hint::black_box, path::Path, time::Instant};

const MESSAGES: usize = 200_000;
const ROUNDS: usize = 5;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = rulefiles::read(&[root.join("rules")]).unwrap();
    let rules = rules::load(&sources, &|_| Ok(Secret::new("s"))).unwrap();
    let mut bodies: Vec<String> = std::fs::read_dir(root.join("tests/corpus/aws"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    bodies.sort();
    let bytes: usize = (0..MESSAGES).map(|n| bodies[n % bodies.len()].len()).sum();
    println!(
        "{MESSAGES} messages of {} kinds, {} bytes on average",
        bodies.len(),
        bytes / MESSAGES
    );
    let node = Node { name: "ip-10-0-1-7".into(), pool: "spot".into(), ..Node::default() };
    let (mut best_json, mut best) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for n in 0..MESSAGES {
            let value: serde_json::Value = serde_json::from_str(&bodies[n % bodies.len()]).unwrap();
            black_box(value);
        }
        best_json = best_json.min(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let (mut events, mut heard) = (0, 0);
        for n in 0..MESSAGES {
            let body = bodies[n % bodies.len()].as_bytes();
            let Ok(Read::Events(all)) = aws::read(body, Timestamp::UNIX_EPOCH) else { continue };
            for mut event in all {
                event.subject = Target::Node(node.name.clone());
                event.data.context.node = Some(node.clone());
                let facts = Facts::new(&event, Timestamp::UNIX_EPOCH);
                heard += rules.candidates(&facts).count();
                events += 1;
            }
        }
        best = best.min(begun.elapsed().as_secs_f64());
        black_box((events, heard));
    }
    let rate = |seconds: f64| MESSAGES as f64 / seconds;
    println!("read as JSON alone     {:>9.0} messages/s", rate(best_json));
    println!(
        "read, routed to rules  {:>9.0} messages/s  (aim 50,000), {:.2} times as long",
        rate(best),
        best / best_json
    );
}
