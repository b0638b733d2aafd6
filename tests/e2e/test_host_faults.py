"""A host over SSH that fails, in each phase of a deploy: the exit code, the words, and what serves afterwards.

The engine is the replay engine in a container. The faults that cost seconds are in `make test`, the others in
`make soak`.
"""

import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from devstral_fleet.images import registry
from tests.support.fleet import Ended, Site, succeeded, until
from tests.support.host_container import HostContainer, HostLab
from tests.support.ports import free_port
from tests.support.replay_image import replay_image
from tests.support.systemd_host import PORT, healthy, link

BACK_S = 120.0
"""Silence after which the guard acts, and the time it takes to bring the proven release back."""
GONE_S = 400.0
"""A controller whose host is gone waits for it in each step, and on the way back again."""
PHASES = ("look", "install", "start", "smoke", "bench", "confirm")
EXIT_CODES = {
    "cut_off": {3},
    "frozen": {3},
    "without_sessions": {0, 3},  # a step that can be asked again is
    "without_engine": {0, 4, 5},  # the engine restarts with its Docker: in time, or not
}
MOMENTS = [(way, phase) for way in EXIT_CODES for phase in PHASES]
KILLS = 20
"""Random moments at which the controller is killed; five others, on this machine, are in every run."""


@pytest.fixture(scope="module")
def first(container_site: Site) -> Ended:
    """The first deploy."""
    return succeeded(container_site.invoke("deploy", "--no-bench"))


@pytest.fixture
def served(container_site: Site, lab: HostLab, first: Ended) -> Site:
    """The site with its plain plan proven and serving; a test before may have left another."""
    assert first.exit_code == 0
    container_site.set(environment=None, image=replay_image(lab.client))
    succeeded(container_site.invoke("deploy", "--no-bench"))
    return container_site


@pytest.mark.soak
@pytest.mark.parametrize(
    ("way", "phase"),
    MOMENTS,
)
def test_a_host_that_fails_in_a_deploy_serves_what_was_proven(
    served: Site, container_host: HostContainer, way: str, phase: str
) -> None:
    running = served.change(f"{way} in {phase}").start("deploy")
    running.wait_for(f"gpu01  {phase}")

    with getattr(container_host, way)():
        ended = running.end(GONE_S)

    assert ended.exit_code in EXIT_CODES[way], ended.text
    assert ended.exit_code == 0 or "gpu01" in ended.stderr, ended.text
    until(lambda: proven(container_host), BACK_S, f"a proven release serves after: {ended.text}")
    converged = succeeded(served.invoke("deploy", "--no-bench"))
    assert proven(container_host), converged.text
    assert succeeded(served.invoke("lock.status", "--json")).document == {"gpu01": None}


@pytest.fixture(scope="module")
def takes_s(container_site: Site, first: Ended) -> float:
    """How long a deploy of a new release takes when nobody kills it."""
    assert first.exit_code == 0
    began = time.monotonic()
    succeeded(container_site.change("undisturbed").invoke("deploy"))
    return time.monotonic() - began


@pytest.mark.soak
@pytest.mark.parametrize("number", range(KILLS))
def test_a_controller_killed_at_a_random_moment_leaves_what_was_proven(
    served: Site, container_host: HostContainer, takes_s: float, kill_seed: int, number: int
) -> None:
    moment_s = Random(f"{kill_seed}-host-{number}").uniform(0.0, takes_s)  # noqa: S311 - a test's moment
    running = served.change(f"kill {kill_seed} {number}").start("deploy")
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(moment_s)
    running.kill()
    said = f"seed {kill_seed}, killed after {moment_s:.2f} s of {takes_s:.2f}:\n{running.end().text}"

    until(lambda: proven(container_host), BACK_S, f"a proven release serves; {said}")
    succeeded(served.invoke("deploy", "--no-bench"))
    assert proven(container_host), said
    assert succeeded(served.invoke("lock.status", "--json")).document == {"gpu01": None}, said


def proven(host: HostContainer) -> bool:
    """Whether a release that was proven answers."""
    return link(host, "serving") == link(host, "current") != "" and healthy(host)


@pytest.mark.soak
def test_a_registry_that_is_down_changes_nothing(served: Site, container_host: HostContainer) -> None:
    before = link(container_host, "current")

    refused = served.set(image=f"127.0.0.1:{free_port()}/engine:1").invoke("deploy", "--no-bench")

    assert refused.exit_code == 4, refused.text
    assert "docker pull" in refused.text
    assert "refused" in refused.text
    assert link(container_host, "serving") == link(container_host, "current") == before
    assert healthy(container_host)


@contextmanager
def registry_on(host: HostContainer, image: str, data: Path) -> Iterator[str]:
    """Give the name by which the host pulls `image` from a registry of the test's own, through a plain ssh -R."""
    with registry.served(image, data, lambda _said: None) as served:
        port = free_port()
        argv = host.ssh_argv("-R", f"127.0.0.1:{port}:127.0.0.1:{served.port}", "-o", "ExitOnForwardFailure=yes", "-N")
        tunnel = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        try:
            until(
                lambda: host.ssh("ss", "-Hltn", f"sport = :{port}").stdout != "", BACK_S, "the host sees the registry"
            )
            yield served.source(port)
        finally:
            tunnel.terminate()
            tunnel.wait()


@pytest.mark.soak
def test_an_image_is_pinned_by_its_digest_and_pulled(
    served: Site, container_host: HostContainer, lab: HostLab, tmp_path: Path
) -> None:
    image = replay_image(lab.client, b"pinned")
    with registry_on(container_host, image, tmp_path / "registry") as pinned:
        succeeded(served.set(image=pinned).invoke("deploy", "--no-bench"))
        assert "unchanged" in succeeded(served.invoke("deploy", "--no-bench")).text

    assert served.report()["hosts"][0]["plan"]["image"]["reference"] == pinned
    assert proven(container_host)


@pytest.mark.soak
def test_an_image_whose_bytes_are_not_its_digests_is_refused(
    served: Site, container_host: HostContainer, lab: HostLab, tmp_path: Path
) -> None:
    before = link(container_host, "current")
    image = replay_image(lab.client, secrets.token_bytes(100_000))
    with registry_on(container_host, image, tmp_path / "registry") as pinned:
        spoil_newest_layer(tmp_path / "registry")
        refused = served.set(image=pinned).invoke("deploy", "--no-bench")

    assert refused.exit_code == 4, refused.text
    assert re.search("verification failed|digest", refused.text)
    assert link(container_host, "serving") == link(container_host, "current") == before
    assert healthy(container_host)


def spoil_newest_layer(data: Path) -> None:
    """Change one byte in the middle of the layer that was pushed last and is larger than a manifest."""
    blobs = [path for path in data.rglob("blobs/sha256/*/*/data") if path.stat().st_size > 90_000]
    newest = min(blobs, key=lambda path: path.stat().st_size)  # the random layer; the others are megabytes
    spoilt = bytearray(newest.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    newest.write_bytes(spoilt)


def test_a_port_of_another_process_is_named_before_anything_changes(
    served: Site, container_host: HostContainer
) -> None:
    before, port = link(container_host, "current"), PORT + 1
    container_host.root("systemd-run", "--unit=squatter", "python3", "-m", "http.server", "--bind=127.0.0.1", str(port))
    until(lambda: container_host.ssh("ss", "-Hltn", f"sport = :{port}").stdout != "", BACK_S, "it listens")
    served.port = port
    try:
        refused = served.set().invoke("deploy", "--no-bench")
    finally:
        served.port = PORT
        served.set()
        container_host.root("systemctl", "stop", "squatter")

    assert refused.exit_code == 5, refused.text
    assert f"port {port}" in refused.text
    assert "python3" in refused.text
    assert link(container_host, "serving") == before
    assert healthy(container_host)


@contextmanager
def sudo_with_a_password(host: HostContainer) -> Iterator[None]:
    """Have the user's sudo ask for a password that nobody knows."""
    rule = "/etc/sudoers.d/deployer"
    host.root("sed", "-i", "s/NOPASSWD://", rule)
    try:
        yield
    finally:
        host.aside("sed", "-i", "s/ALL$/NOPASSWD: ALL/", rule)


def test_a_sudo_that_asks_for_a_password_is_said(served: Site, container_host: HostContainer) -> None:
    with sudo_with_a_password(container_host):
        refused = served.invoke("deploy", "--no-bench")

    assert refused.exit_code == 3, refused.text
    assert "sudo" in refused.text
    assert "NOPASSWD" in refused.text
    assert healthy(container_host)


@pytest.mark.soak
def test_a_disk_that_fills_in_a_deploy_leaves_what_was_proven(served: Site, container_host: HostContainer) -> None:
    """The home lies on a file system of its own, which has not a byte left from the install phase on."""
    home, port = Path("/srv/small"), PORT + 2
    container_host.root("mkdir", "-p", str(home))
    container_host.root("mount", "-t", "tmpfs", "-o", "size=64G", "tmpfs", str(home))
    small = Site(served.directory / "small", home, port, dict(served.keys), "gpu01", served.connection)
    succeeded(small.set().invoke("deploy", "--no-bench"))
    before = container_host.root("readlink", f"{home}/current")
    try:
        running = small.change("full").start("deploy", "--no-bench")
        running.wait_for("gpu01  install")
        used_kib = container_host.root("df", "--output=used", "--block-size=1K", str(home)).split()[-1]
        container_host.root("mount", "-o", f"remount,size={used_kib}k", str(home))
        ended = running.end()
        assert ended.exit_code in {4, 5}, ended.text
        assert "No space left on device" in ended.text
        assert container_host.root("readlink", f"{home}/serving") == before
        container_host.root("mount", "-o", "remount,size=64G", str(home))
        succeeded(small.invoke("deploy", "--no-bench"))
        assert container_host.root("readlink", f"{home}/serving") == container_host.root("readlink", f"{home}/current")
    finally:
        container_host.root("mount", "-o", "remount,size=64G", str(home))
        small.invoke("stop")
        container_host.root("umount", str(home))
