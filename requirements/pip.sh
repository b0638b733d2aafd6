# shellcheck shell=bash
# Sourced by setup.sh and lock.sh: pip as both of them call it.

# A find-links folder or a file:// index of the site's pip configuration that lacks a package is no news; pip warns of it
# once a package. Everything else that pip says stays.
without_ignored_locations() { grep --line-buffered --invert-match --extended-regexp "^WARNING: Location '.*' is ignored" || true; }

# Every package comes as a wheel whose hash stands in the lock, and nothing comes that is not in it.
install_locked() { # PYTHON LOCK [PIP ARGUMENT...]
    local python=$1 lock=$2
    shift 2
    "$python" -m pip install --disable-pip-version-check --no-input --no-deps --require-hashes --only-binary :all: \
        --no-compile "$@" --requirement "$lock" 2> >(without_ignored_locations >&2)
}
