#!/usr/bin/env bash
# cargo-deny's checks that need no network, at a pinned version, built once into the cache.
set -euo pipefail
version=0.20.2
root=$1/cargo-deny-$version
if [ ! -x "$root/bin/cargo-deny" ]; then
    echo "deny: building cargo-deny $version" >&2
    # It runs for a second: minutes of optimisation would not pay.
    CARGO_TARGET_DIR=$1/cargo-deny-build CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_OPT_LEVEL=1 cargo install --quiet --locked --version "$version" --root "$root" cargo-deny
    rm -rf "$1/cargo-deny-build"
fi
# Crates of other platforms too: a build of this one does not bring them.
cargo fetch --quiet --locked
"$root/bin/cargo-deny" --offline --locked --config .deny.toml check bans licenses sources
