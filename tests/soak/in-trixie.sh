#!/usr/bin/env bash
# Runs in a fresh Debian 13 root (Python 3.13) with the README's five packages: the toolkit, and the layers of tests that
# need no engine. Root installs what the tests ask for; an ordinary user does the rest.
set -euo pipefail

apt-get -qq update
git -c safe.directory='*' clone --quiet /srv/fleet.bundle /srv/fleet
/srv/fleet/tests/setup-machine.sh

exec setpriv --reuid=person --regid=person --init-groups env HOME=/home/person USER=person bash -euo pipefail <<'PERSON'
cd
git clone --quiet /srv/fleet.bundle fleet
cd fleet
make setup
.venv/bin/invoke --list
requirements/setup.sh dev
.venv/bin/python --version
.venv/bin/python -m pytest -m 'not soak and not real_engine' tests/lint tests/unit tests/contract </dev/null
PERSON
