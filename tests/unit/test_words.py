"""Lines to paste."""

import pytest

from devstral_fleet.intent import Connection
from devstral_fleet.words import ssh

LINES = [
    ({}, "ssh -p 22 192.0.2.1 'sudo cat /opt/a'"),
    ({"user": "ubuntu", "port": 2222}, "ssh -p 2222 ubuntu@192.0.2.1 'sudo cat /opt/a'"),
    (
        {"private_key_file": "/keys/a key", "known_hosts_file": "/keys/known"},
        "ssh -p 22 -i '/keys/a key' -o UserKnownHostsFile=/keys/known 192.0.2.1 'sudo cat /opt/a'",
    ),
]


@pytest.mark.parametrize(("keys", "line"), LINES)
def test_ssh_goes_the_way_of_the_inventory(keys: dict[str, object], line: str) -> None:
    at = Connection.model_validate({"kind": "ssh", "address": "192.0.2.1", **keys})
    assert ssh(at, "sudo cat /opt/a") == line
