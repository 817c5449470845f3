#!/usr/bin/env bash
# Every fuzzer for so many seconds, with seeds from what the project has. Stable Rust and a C++ compiler are enough.
set -euo pipefail
cache=$1
seconds=${2:-60}
here=$(cd "$(dirname "$0")/.." && pwd)
root=$(dirname "$here")
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$cache/fuzz-target
# The coverage that libFuzzer is led by; build scripts and macros go without, because a target is named.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
CARGO_ENCODED_RUSTFLAGS=${flags// /$'\x1f'} \
    cargo build --quiet --release --locked --target "$host" --manifest-path "$here/fuzz/Cargo.toml"

seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
mkdir "$seeds"/{condition,rulefile,import,intake,words}
sed -n 's/  => .*//p' "$root/src/rules/condition/tests/table.txt" | grep -v '^#' |
    awk -v dir="$seeds/condition" '{ print > (dir "/" NR) }'
cp "$root"/rules/*.yaml "$root"/simulations/*.yaml "$root"/simulations/rules/*.yaml "$seeds/rulefile"
sed -n '/r#"/,/"#/p; /r##"/,/"##/p' "$root/src/rules/import/tests.rs" > "$seeds/import/all"
cp "$root"/tests/corpus/alertmanager/*.json "$seeds/intake"
printf '1h30m' > "$seeds/words/span"
printf 'deployment/ns/name' > "$seeds/words/target"
printf 'nats: {servers: "nats://localhost:4222"}\npolicy: {production: true}\n' > "$seeds/words/config"

for target in condition rulefile import intake words; do
    mkdir -p "$cache/fuzz-corpus/$target"
    echo "fuzz: $target for $seconds s"
    "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -max_len=8192 -verbosity=0 -print_final_stats=1 -artifact_prefix="$cache/fuzz-corpus/crash-$target-" \
        "$cache/fuzz-corpus/$target" "$seeds/$target" 2>&1 |
        grep -E 'ERROR|panicked|Test unit written|number_of_executed_units|average_exec_per_sec' || true
    # `grep` hides how it ended: what it left behind tells.
    if compgen -G "$cache/fuzz-corpus/crash-$target-*" > /dev/null; then
        echo "fuzz: $target crashed; see $cache/fuzz-corpus" >&2
        exit 1
    fi
done
echo "fuzz: no crash"
