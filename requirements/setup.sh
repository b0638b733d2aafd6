#!/usr/bin/env bash
# Makes .venv from a lock, or reuses it when the lock is still the one it was made from.
#   requirements/setup.sh toolkit   what a deploy needs
#   requirements/setup.sh dev       the same, and what the tests need
# A file .venv/.NAME-complete holds the digest of the lock, the interpreter and the place. It is written last, so an
# interrupted setup is never taken as complete.
set -euo pipefail
cd "$(dirname "$0")/.."
. requirements/pip.sh

name=${1:?toolkit or dev}
python=${PYTHON:-python3}
started=$SECONDS

say() { printf 'setup: %s (%d s)\n' "$1" "$((SECONDS - started))"; }

refuse() { # MESSAGE FIX
    printf 'setup: %s\n  fix: %s\n' "$1" "$2" >&2
    exit 2
}

check_python() {
    command -v "$python" >/dev/null || refuse "there is no $python" "sudo apt-get install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
        refuse "$("$python" --version) is outside 3.11 to 3.13" "make setup PYTHON=python3.12"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        refuse "$python cannot make a virtual environment" "sudo apt-get install python3-venv"
}

digest_of() { # LOCK NAME
    { cat "requirements/$1.lock"; "$python" -VV; pwd -P; } | sha256sum | cut -c 1-64
}

is_complete() { # LOCK NAME
    [ -x .venv/bin/python ] && [ "$(cat ".venv/.$1-complete" 2>/dev/null)" = "$(digest_of "$1")" ]
}

# pip's own lines, counted: one line every few seconds.
progress() { # TOTAL
    local total=$1 count=0 last=$SECONDS line
    while IFS= read -r line; do
        case $line in
            Ignoring*) total=$((total - 1)) ;;
            Collecting* | Processing* | Requirement\ already*) count=$((count + 1)) ;;
            Installing\ collected*)
                say "$count of $total packages fetched, installing them"
                last=$((SECONDS + 3600))
                ;;
        esac
        if [ $((SECONDS - last)) -ge 5 ]; then
            last=$SECONDS
            say "$count of $total packages fetched"
        fi
    done
}

check_python
mkdir -p .cache
exec 9>.cache/setup.lock
flock --nonblock 9 || { say "waiting for another setup of this checkout" && flock 9; }

if is_complete "$name"; then
    say ".venv is up to date with requirements/$name.lock"
    exit 0
fi

# Development tools are added to a complete toolkit; everything else starts from nothing.
if ! { [ "$name" = dev ] && is_complete toolkit; }; then
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
fi

total=$(grep -c '^[a-z]' "requirements/$name.lock")
say "installing requirements/$name.lock"
install_locked .venv/bin/python "requirements/$name.lock" --progress-bar off 9>&- | progress "$total" ||
    refuse "pip could not install requirements/$name.lock; its own words are above" \
        "check that 'pip config list' names an index this machine reaches, then run the same command again"

# Compiled here once, not at each command: a machine may forbid Python to keep what it compiles (PYTHONDONTWRITEBYTECODE).
# Ansible's collections are left out: most of them are never imported here, and they are the larger half. A package's
# file that is no Python of this version (a template, say) makes the command fail, and harms nobody.
.venv/bin/python -m compileall -q -j 0 -x '/ansible_collections/' .venv/lib devstral_fleet >/dev/null || true

digest_of toolkit >.venv/.toolkit-complete
[ "$name" = toolkit ] || digest_of dev >.venv/.dev-complete
say ".venv is ready"
