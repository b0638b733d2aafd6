"""The Docker probe's script with programs that stand for a host's."""

import os
import socket
from pathlib import Path

import pytest

from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import docker
from devstral_fleet.shell import LocalShell


@pytest.fixture
def layout(tmp_path: Path) -> HostLayout:
    return HostLayout.of(str(tmp_path))


def test_a_docker_that_does_not_answer_and_none_at_all_are_told_apart(
    layout: HostLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho Cannot connect >&2\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "sh").symlink_to("/bin/sh")
    (tmp_path / "head").symlink_to("/usr/bin/head")
    (tmp_path / "tail").symlink_to("/usr/bin/tail")
    monkeypatch.setenv("PATH", str(tmp_path))
    silent = docker.read(LocalShell(), layout, "fleet/engine:1")
    assert (silent.version, silent.detail) == ("", "Cannot connect")
    program.unlink()
    absent = docker.read(LocalShell(), layout, "fleet/engine:1")
    assert (absent.version, absent.detail, absent.image_id, absent.published) == ("", "", "", ())


def docker_program(folder: Path, image_id: str, proxy: str) -> None:
    """Write a Docker whose daemon has that image and that proxy."""
    program = folder / "docker"
    program.write_text(
        f"#!/bin/sh\ncase $1 in version) echo 28.1 ;; image) echo {image_id} ;; info) echo {proxy} ;; esac\n"
    )
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("registry", "image_id", "proxy", "unresolved"),
    [
        ("no-such-registry.invalid", "", "", "no-such-registry.invalid"),
        ("no-such-registry.invalid", "sha256:aa", "", ""),
        ("no-such-registry.invalid", "", "http://127.0.0.1:9", ""),
        ("localhost", "", "", ""),
        ("", "", "", ""),
    ],
)
def test_a_registry_is_looked_for_where_an_image_has_to_be_pulled(
    layout: HostLayout,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    registry: str,
    image_id: str,
    proxy: str,
    unresolved: str,
) -> None:
    docker_program(tmp_path, image_id, proxy)
    resolver = tmp_path / "getent"
    resolver.write_text('#!/bin/sh\n[ "$*" = "ahosts localhost" ]\n')
    resolver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert docker.read(LocalShell(), layout, "fleet/engine:1", registry).unresolved == unresolved


def test_a_proxy_by_which_docker_pulls_must_be_there(
    layout: HostLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]
        address = f"http://user:secret@127.0.0.1:{port}/"
        docker_program(tmp_path, "", address)
        assert docker.read(LocalShell(), layout, "fleet/engine:1", "registry.site").lost_proxy == ""
    assert docker.read(LocalShell(), layout, "fleet/engine:1", "registry.site").lost_proxy == f"127.0.0.1:{port}"
    docker_program(tmp_path, "sha256:aa", address)
    assert docker.read(LocalShell(), layout, "fleet/engine:1", "registry.site").lost_proxy == ""
