#!/usr/bin/env bash
# Brings moto, a stand-in for AWS's APIs with SQS's real visibility, from PyPI into the cache, at pinned versions.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's/^moto==//p' "$here/moto.txt")
target=$1/moto-$version
if [ -x "$target/bin/moto_server" ]; then
    exit 0
fi
if ! command -v python3 >/dev/null; then
    echo "moto: needs python3 with venv and pip, or moto $version in $target" >&2
    exit 1
fi
rm -rf "$target.part"
python3 -m venv "$target.part"
"$target.part/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$here/moto.txt"
# The scripts of a virtual environment name its own place.
grep -rlZ "$target.part" "$target.part/bin" | xargs -0 sed -i "s|$target.part|$target|g"
mv "$target.part" "$target"
echo "moto: $version"
