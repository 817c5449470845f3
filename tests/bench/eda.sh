#!/usr/bin/env bash
# ansible-rulebook beside Medevac's engine on the same events. Needs Python and a JDK; the rest comes from PyPI, pinned.
set -euo pipefail
cache=$1
bench=$2
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v java >/dev/null || ! command -v python3 >/dev/null; then
    echo "eda: nothing was compared: ansible-rulebook needs a JDK (17 or newer) and Python 3" >&2
    exit 0
fi
venv=$cache/ansible-rulebook-1.3.2
if [ ! -x "$venv/bin/ansible-rulebook" ]; then
    echo "eda: installing ansible-rulebook 1.3.2" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet ansible-rulebook==1.3.2 ansible-core==2.19.14
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if [ -z "${JAVA_HOME:-}" ]; then
    JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
    export JAVA_HOME
fi
export PATH="$venv/bin:$PATH"
python3 "$here/eda/run.py" "$folder" "$venv/bin/ansible-rulebook" "$bench"
