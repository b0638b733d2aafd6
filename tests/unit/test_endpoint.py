"""What a client needs, by the way that the host is reached."""

from devstral_fleet.console import Console
from devstral_fleet.intent import Connection, HostIntent
from devstral_fleet.shell import open_shell
from devstral_fleet.workflows import endpoint
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Target
from devstral_fleet.workflows.record import HostRecord
from tests.support.intents import cpu_host, planned

FAR = Connection(kind="ssh", address="192.0.2.1", user="ubuntu", private_key_file="/keys/one", become=True)


def host(intent: HostIntent) -> Host:
    target = Target(intent, planned(intent))
    return Host(target, open_shell(intent), HostRecord(target, Console()))


def test_the_key_of_a_far_host_is_read_by_the_inventorys_way() -> None:
    client = endpoint.client(host(cpu_host(connection=FAR)), "http://127.0.0.1:41000")
    assert client.base_url == "http://127.0.0.1:41000/v1"
    assert client.key_command == "ssh -p 22 -i /keys/one ubuntu@192.0.2.1 'sudo cat /srv/fleet/secrets/api.key'"
    assert "-H @<(ssh -p 22 -i /keys/one" in client.curl()


def test_a_far_host_is_reached_by_connect_first() -> None:
    near, far = endpoint.report(host(cpu_host())), endpoint.report(host(cpu_host(connection=FAR)))
    assert str(near["curl"]).startswith("curl -s http://127.0.0.1:30000/v1/")
    assert far["curl"] == ""
    assert far["next_commands"] == (".venv/bin/invoke connect --host local", *near["next_commands"])  # type: ignore[misc]


def test_this_machines_endpoint_is_reached_where_it_listens() -> None:
    with host(cpu_host(listen="127.0.0.2")).reached() as base_url:
        assert base_url == "http://127.0.0.2:30000"
