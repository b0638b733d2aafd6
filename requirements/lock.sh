#!/usr/bin/env bash
# Makes the locks again from pyproject.toml and engine-cpu.in. Versions stay as they are where they still fit;
# `requirements/lock.sh --upgrade` takes the newest.
# One resolution: dev.lock is the whole of it, toolkit.lock the part that a deploy needs, so the two never differ.
set -euo pipefail
cd "$(dirname "$0")/.."
. requirements/pip.sh

python=${PYTHON:-python3}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

"$python" -m venv "$tools/venv"
install_locked "$tools/venv/bin/python" requirements/uv.lock --quiet

compile() { # OUTPUT ARGUMENT...
    local output=$1
    shift
    echo "lock: requirements/$output"
    "$tools/venv/bin/uv" pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --output-file "requirements/$output" "$@"
}

compile dev.lock --extra dev pyproject.toml "$@"
compile toolkit.lock --constraint requirements/dev.lock pyproject.toml
compile engine-cpu.lock --no-deps requirements/engine-cpu.in
compile bundle.lock --no-deps requirements/bundle.in
