#!/usr/bin/env bash
# Runs in a fresh Debian 12 root with the README's five packages: an ordinary user goes from a clone to an answering
# endpoint with `make demo`, does it again, and stops it. Then root installs what the tests ask for, starts a Docker
# engine and lets the user in, and the user runs them all.
set -euo pipefail

as_person=(setpriv --reuid=person --regid=person --init-groups env HOME=/home/person USER=person bash -euo pipefail)

"${as_person[@]}" <<'PERSON'
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
cd
step clone
git clone --quiet /srv/fleet.bundle fleet
cd fleet

step make demo
make demo </dev/null

step the endpoint answers
endpoint=$(.venv/bin/invoke status --host local --json | python3 -c '
import json, re, sys
print(re.search(r"http://127\.0\.0\.1:\d+", json.dumps(json.load(sys.stdin))).group(0))')
echo "$endpoint"
python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1] + "/health", timeout=20).status)' "$endpoint"
.venv/bin/invoke verify --host local

step make demo again, which reuses what is there
make demo </dev/null

step stop
.venv/bin/invoke stop --host local
if python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/health", timeout=5)' "$endpoint" 2>/dev/null; then
    echo "the endpoint still answers after invoke stop" >&2
    exit 1
fi
step proven
PERSON

apt-get -qq update
git -c safe.directory='*' clone --quiet /srv/fleet.bundle /srv/fleet
/srv/fleet/tests/setup-machine.sh
usermod --append --groups docker person
# As in tests/support/docker_engine.py: no packet filter. It ends with the root's other processes.
dockerd --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false >/var/log/dockerd 2>&1 &
timeout 60 sh -c 'until docker version >/dev/null 2>&1; do sleep 1; done' || { tail /var/log/dockerd >&2; exit 1; }

exec "${as_person[@]}" <<'PERSON'
cd ~/fleet
make test </dev/null
PERSON
