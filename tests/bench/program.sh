#!/usr/bin/env bash
# The path of a benchmark's program, built already.
set -euo pipefail
cargo bench --locked --bench "$1" --no-run --message-format=json 2>/dev/null |
    python3 -c 'import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("executable") and built["target"]["kind"] == ["bench"]:
        print(built["executable"])'
