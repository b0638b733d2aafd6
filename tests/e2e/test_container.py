"""The container runtime on a host over SSH: what is sent, what runs, what keeps it, and what goes wrong.

The engine is the replay engine. What the product says is compared with what plain ssh sees of the host.
"""

import json
import secrets
from typing import Any

import pytest

from devstral_fleet.container import IMAGE_USER
from devstral_fleet.layout import HostLayout
from tests.support.fleet import Ended, Site, succeeded, until
from tests.support.host_container import HostContainer, HostLab
from tests.support.replay_image import replay_image
from tests.support.systemd_host import HOME, PORT, events, healthy, link, pid, shown

BACK_S = 90.0
GUARD_S = 90.0
CONTAINER = HostLayout.of(str(HOME)).container
TOP_LAYER_BYTES = 3_000_000
MANIFEST_BYTES = 20_000
"""Manifest, image configuration and HTTP headers of a pull."""


def inspected(host: HostContainer) -> dict[str, Any]:
    """What the host's Docker says of the engine's container."""
    (found,) = json.loads(host.root("docker", "container", "inspect", CONTAINER))
    return dict(found)


def processes(host: HostContainer) -> str:
    return host.root("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def sent_bytes(site: Site) -> int:
    return int(site.report()["hosts"][0]["image_sent_bytes"])


@pytest.fixture(scope="module")
def first(container_site: Site) -> Ended:
    """The first deploy."""
    return succeeded(container_site.invoke("deploy"))


def is_plain(site: Site, host: HostContainer) -> bool:
    """Whether what serves there is what the site plans now, and is proven."""
    if not link(host, "serving") or link(host, "serving") != link(host, "current") or not healthy(host):
        return False
    planned = site.invoke("plan", "--json").document[site.host]
    return bool(json.loads(host.root("cat", f"{HOME}/serving/release.json"))["plan"] == planned)


@pytest.fixture
def served(container_site: Site, container_host: HostContainer, lab: HostLab, first: Ended) -> Site:
    """The site with its plain plan proven and serving; a test before may have left another."""
    assert first.exit_code == 0
    container_site.set(environment=None, image=replay_image(lab.client), health_deadline_s=None)
    if not is_plain(container_site, container_host):
        succeeded(container_site.invoke("deploy", "--no-bench"))
    assert link(container_host, "serving") == link(container_host, "current") != ""
    return container_site


def test_check_on_an_untouched_host_changes_nothing(container_site: Site, container_host: HostContainer) -> None:
    previewed = succeeded(container_site.invoke("deploy", "--check"))

    assert "brought fleet-replay:" in previewed.text
    assert container_host.root("docker", "images", "--quiet") == ""
    assert container_host.root("sh", "-c", f"ls -d {HOME} 2>/dev/null || true") == ""


def test_first_deploy_brings_the_image_through_ssh(
    container_site: Site, container_host: HostContainer, first: Ended
) -> None:
    assert "deployed and proven" in first.text
    assert sent_bytes(container_site) > TOP_LAYER_BYTES
    (name,) = container_host.root("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert name == container_site.keys["image"]
    assert (shown(container_host, "ActiveState"), shown(container_host, "UnitFileState")) == ("active", "enabled")
    assert healthy(container_host)


def test_the_container_is_confined_and_its_key_is_nobodys(served: Site, container_host: HostContainer) -> None:
    key = container_host.root("cat", f"{HOME}/secrets/api.key")
    container = inspected(container_host)
    assert key not in json.dumps(container)
    assert key not in processes(container_host)
    assert key not in container_host.root("cat", f"{HOME}/log/engine.log")
    assert container["Config"]["User"] == f"{IMAGE_USER}:{IMAGE_USER}"
    assert container["HostConfig"]["Privileged"] is False
    assert [each["HostIp"] for each in container["NetworkSettings"]["Ports"][f"{PORT}/tcp"]] == ["127.0.0.1"]
    modes = container_host.root(
        "stat", "--format=%a", *(f"{HOME}/secrets/{name}" for name in ("api.key", "engine.yml"))
    )
    assert modes.split() == ["600", "600"]
    assert served.port == PORT


def test_second_deploy_sends_nothing_and_restarts_nothing(served: Site, container_host: HostContainer) -> None:
    before = (pid(container_host), inspected(container_host)["Id"])

    again = succeeded(served.invoke("deploy", "--no-bench"))

    assert "unchanged" in again.text
    assert sent_bytes(served) == 0
    assert (pid(container_host), inspected(container_host)["Id"]) == before


def test_only_the_layer_that_changed_is_sent(served: Site, lab: HostLab) -> None:
    served.set(image=replay_image(lab.client, secrets.token_bytes(TOP_LAYER_BYTES)))

    succeeded(served.invoke("deploy", "--no-bench"))

    assert TOP_LAYER_BYTES < sent_bytes(served) < 1.05 * TOP_LAYER_BYTES + MANIFEST_BYTES


def test_verbs_that_look(served: Site, container_host: HostContainer) -> None:
    succeeded(served.invoke("doctor"))
    succeeded(served.invoke("verify"))
    row = succeeded(served.invoke("status", "--json")).document[0]
    assert (row["state"], row["pid"]) == ("serving", pid(container_host))
    assert succeeded(served.invoke("logs", "--lines", "5")).stdout.count("\n") == 5


def test_a_killed_engine_is_started_again(served: Site, container_host: HostContainer) -> None:
    before = pid(container_host)
    container_host.root("pkill", "-KILL", "-f", "^python3 -m sglang.launch_server")

    until(lambda: pid(container_host) not in (0, before) and healthy(container_host), BACK_S, "the engine serves again")

    succeeded(served.invoke("verify"))


@pytest.mark.soak
def test_a_killed_docker_engine_costs_a_restart_and_no_more(served: Site, container_host: HostContainer) -> None:
    container_host.root("pkill", "-KILL", "dockerd")

    until(lambda: healthy(container_host), BACK_S, "the engine serves again")

    assert "unchanged" in succeeded(served.invoke("deploy", "--no-bench")).text


def test_without_docker_nothing_is_changed(served: Site, container_host: HostContainer) -> None:
    serving = link(container_host, "serving")
    container_host.root("systemctl", "mask", "--runtime", "--now", "docker.service", "docker.socket")
    try:
        refused = served.change("without docker").invoke("deploy", "--no-bench")
    finally:
        container_host.root("systemctl", "unmask", "--runtime", "docker.service", "docker.socket")
        container_host.root("systemctl", "start", "docker.service")

    assert refused.exit_code == 5, refused.text
    assert "no Docker engine answers" in refused.text
    assert link(container_host, "serving") == serving
    until(lambda: healthy(container_host), BACK_S, "the engine serves again")


def test_an_image_that_nobody_has_is_said_and_the_old_release_serves(
    served: Site, container_host: HostContainer
) -> None:
    before = link(container_host, "current")

    refused = served.set(image="fleet-replay:nowhere").invoke("deploy", "--no-bench")

    assert refused.exit_code == 4, refused.text
    assert "fleet-replay:nowhere is neither on the host nor in this machine's Docker engine" in refused.text
    assert link(container_host, "serving") == link(container_host, "current") == before
    assert healthy(container_host)


def test_a_broken_release_gives_way_to_the_proven_one(served: Site, container_host: HostContainer) -> None:
    before = link(container_host, "current")

    ended = served.set(environment={"REPLAY_FAULT": "die_at_start"}).invoke("deploy", "--no-bench")

    assert ended.exit_code == 5, ended.text
    assert "die_at_start" in ended.text
    assert link(container_host, "serving") == link(container_host, "current") == before
    assert healthy(container_host)


@pytest.mark.soak
def test_a_killed_controller_leaves_a_host_that_goes_back_by_itself(
    served: Site, container_host: HostContainer
) -> None:
    before = link(container_host, "current")
    running = served.change("killed").start("deploy", "--no-bench")
    running.wait_for("gpu01  start")
    running.kill()
    running.end()

    until(
        lambda: link(container_host, "serving") == before and healthy(container_host),
        GUARD_S,
        "the guard brings it back",
    )

    assert events(container_host)[-1] == "guard"


def test_an_interrupted_benchmark_leaves_no_process_in_the_container(
    served: Site, container_host: HostContainer
) -> None:
    running = served.start("bench")
    running.wait_for("gpu01  bench")
    until(lambda: "bench_serving" in processes(container_host), BACK_S, "the benchmark runs")
    running.interrupt()

    assert running.end().exit_code == 130
    assert "bench_serving" not in processes(container_host)
    assert container_host.root("ls", f"{HOME}/jobs") == ""


def test_the_engine_comes_back_with_its_host(served: Site, container_host: HostContainer) -> None:
    container_host.reboot()

    until(lambda: healthy(container_host), BACK_S, "the engine serves after the boot")

    assert "unchanged" in succeeded(served.invoke("deploy", "--no-bench")).text


@pytest.mark.soak
def test_rollback_then_stop_leaves_no_container(served: Site, container_host: HostContainer) -> None:
    before = link(container_host, "current")
    succeeded(served.change("next").invoke("deploy", "--no-bench"))

    succeeded(served.invoke("rollback"))
    assert link(container_host, "serving") == link(container_host, "current") == before
    assert healthy(container_host)

    succeeded(served.invoke("stop"))
    assert container_host.root("docker", "ps", "--all", "--quiet") == ""
