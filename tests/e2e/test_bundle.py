"""A bundle on the other side: every part is looked at before anything is written, and what is wrong has its name."""

import json
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from devstral_fleet.bundle import signing
from tests.support import bundles
from tests.support.bundles import SmallBundle
from tests.support.fleet import INVOKE, ROOT

LARGE = {"docs/large": "".join(sha256(str(number).encode()).hexdigest() for number in range(60000))}
"""Almost 2 MB packed: it takes several parts."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    return bundles.make(tmp_path_factory.mktemp("made"), LARGE)


@pytest.fixture
def bundle(made: SmallBundle, tmp_path: Path) -> SmallBundle:
    """A copy of it that a test may spoil."""
    shutil.copytree(made.folder, tmp_path / "bundle")
    return SmallBundle(tmp_path / "bundle", tmp_path / "installed")


def test_it_is_installed_with_an_environment_of_its_own(bundle: SmallBundle) -> None:
    assert len(bundle.parts) > 2

    done = bundle.install()

    assert done.returncode == 0, done.stderr
    assert (bundle.target / "docs" / "large").read_text() == LARGE["docs/large"]
    python = bundle.target / ".venv" / "bin" / "python"
    words = [str(python), "-c", "import iniconfig, pip; print(iniconfig.__file__)"]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert found.startswith(str(bundle.target / ".venv"))
    assert "fleet_wheels" in local(bundle).read_text()
    assert [path.name for path in bundle.target.parent.iterdir() if path.name.startswith(".")] == []


def test_a_newer_one_takes_its_place_and_leaves_the_site_its_own(bundle: SmallBundle, tmp_path: Path) -> None:
    assert bundle.install().returncode == 0
    (bundle.target / "inventory" / "hosts.yml").write_text("all: {hosts: {mine: {}}}\n")
    (bundle.target / "runs" / "one").mkdir(parents=True)
    newer = bundles.make(tmp_path / "newer", {"docs/large": "small now"})

    done = SmallBundle(newer.folder, bundle.target).install()

    assert done.returncode == 0, done.stderr
    assert (bundle.target / "docs" / "large").read_text() == "small now"
    assert "mine" in (bundle.target / "inventory" / "hosts.yml").read_text()
    assert (bundle.target / "runs" / "one").is_dir()


def test_its_models_go_where_a_host_looks_for_them(tmp_path: Path) -> None:
    model = {"models/tiny-1/.complete": "", "models/tiny-1/config.json": "new", "inventory/models.lock.yml": "pins"}
    bundle = bundles.make(tmp_path / "made", model)
    home = tmp_path / "home" / "models"
    (home / "tiny-1.moving").mkdir(parents=True)  # of an installation that was killed

    done = bundle.install("--models-to", str(home))

    assert done.returncode == 0, done.stderr
    assert (home / "tiny-1" / "config.json").read_text() == "new"
    assert sorted(path.name for path in home.iterdir()) == ["tiny-1"]
    keys = json.loads(local(bundle).read_text().split("\n", 1)[1])
    assert (keys["fleet_fetch"], keys["fleet_models"]) == (False, str(home))
    (home / "tiny-1" / "config.json").write_text("in use")
    again = bundle.install("--models-to", str(home))
    assert "is there already" in again.stdout, again.stderr
    assert (home / "tiny-1" / "config.json").read_text() == "in use"


def test_its_models_stay_when_a_newer_one_brings_none_and_its_pins_reach_a_site_without(tmp_path: Path) -> None:
    older = bundles.make(tmp_path / "older", {"models/tiny-1/.complete": ""})
    done = older.install()
    models = older.target / "models"
    assert f"a model: {models / 'tiny-1'}; hosts with fleet_models: {models} copy it from there" in done.stdout
    assert json.loads(local(older).read_text().split("\n", 1)[1])["fleet_models"] == str(models)
    newer = bundles.make(tmp_path / "newer", {"models/tiny-2/.complete": "", "inventory/models.lock.yml": "pins"})

    done = SmallBundle(newer.folder, older.target).install()

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (older.target / "models").iterdir()) == ["tiny-1", "tiny-2"]
    assert (older.target / "inventory" / "models.lock.yml").read_text() == "pins"


def test_its_images_are_told_and_run_in_containers(tmp_path: Path) -> None:
    images = {"images/0.tar": "engine:site"}
    bundle = bundles.make(tmp_path / "made", {"images/0.tar": "what docker save wrote"}, images=images)

    done = bundle.install()

    assert done.returncode == 0, done.stderr
    assert f"docker load --input {bundle.target / 'images' / '0.tar'}" in done.stdout
    keys = json.loads(local(bundle).read_text().split("\n", 1)[1])
    assert (keys["fleet_runtime"], keys["fleet_image"]) == ("container", "engine:site")
    assert "fleet_wheels" not in keys


def local(bundle: SmallBundle) -> Path:
    """What an installation says of this machine as its host."""
    return bundle.target / "inventory" / "host_vars" / "local.yml"


def test_a_folder_that_is_no_installation_is_left_alone(bundle: SmallBundle) -> None:
    bundle.target.mkdir()
    (bundle.target / "mine").write_text("work of a week")

    done = bundle.install()

    assert (done.returncode, "is no installation of a bundle" in done.stderr) == (2, True)
    assert (bundle.target / "mine").read_text() == "work of a week"


def test_an_older_one_comes_back_where_the_newer_does_not_work(bundle: SmallBundle, tmp_path: Path) -> None:
    assert bundle.install().returncode == 0
    (bundle.target / "inventory" / "hosts.yml").write_text("all: {hosts: {mine: {}}}\n")
    wrong = {"requirements/toolkit.lock": f"iniconfig==1 --hash=sha256:{'0' * 64}\n", "docs/large": "small now"}
    newer = bundles.make(tmp_path / "newer", wrong)

    done = SmallBundle(newer.folder, bundle.target).install()

    assert done.returncode != 0
    assert (bundle.target / "docs" / "large").read_text() == LARGE["docs/large"]
    assert "mine" in (bundle.target / "inventory" / "hosts.yml").read_text()
    assert (bundle.target / ".venv" / "bin" / "python").exists()
    assert [path.name for path in bundle.target.parent.iterdir() if path.name.startswith(".")] == []


def test_the_toolkit_runs_only_an_installer_that_is_the_bundles_own(bundle: SmallBundle) -> None:
    words = [str(INVOKE), "bundle.install", str(bundle.folder), "--to", str(bundle.target)]
    (bundle.folder / "install.py").write_text("print('owned')\n")

    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    assert done.returncode == 2
    assert "is not the bundle's own" in done.stderr
    assert "owned" not in done.stdout + done.stderr


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(lambda one: one.parts[1].unlink(), "part-02-of-0", id="missing"),
        pytest.param(lambda one: _cut(one.parts[0]), "part-01-of-0", id="cut"),
        pytest.param(lambda one: _spoil(one.parts[2]), "its SHA-256 is another one", id="wrong bytes"),
        pytest.param(
            lambda one: shutil.copy(one.parts[0], one.folder / f"{one.parts[0].name} (1)"), "second time", id="repeated"
        ),
        pytest.param(
            lambda one: shutil.copy(one.parts[0], one.folder / "devstral-fleet-00c0ffee.part-01-of-03"),
            "is of another bundle (00c0ffee)",
            id="of two bundles",
        ),
        pytest.param(lambda one: next(one.folder.glob("zstandard-*")).unlink(), "zstandard-", id="no reader of zstd"),
        pytest.param(lambda one: (one.folder / "manifest.json").unlink(), "manifest.json is missing", id="no manifest"),
        pytest.param(
            lambda one: (one.folder / "manifest.json").write_text('{"id": 1'), "damaged", id="half a manifest"
        ),
        pytest.param(lambda one: one.rewrite(python="3.9"), "for Python 3.9, this is", id="another Python"),
        pytest.param(lambda one: one.rewrite(machine="riscv64"), "for riscv64", id="another processor"),
        pytest.param(lambda one: one.rewrite(driver_minimum="9999.1"), "needs NVIDIA's driver 9999.1", id="old driver"),
        pytest.param(lambda one: one.rewrite(unpacked_bytes=2**60), "GiB free, the bundle needs", id="short of disk"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    bundle: SmallBundle, wrong: Callable[[SmallBundle], object], said: str
) -> None:
    wrong(bundle)

    done = bundle.install()

    assert done.returncode == 2
    assert said in done.stderr, done.stderr
    assert not bundle.target.exists()


def test_every_problem_is_said_at_once(bundle: SmallBundle) -> None:
    bundle.parts[0].unlink()
    bundle.rewrite(python="3.9")

    lines = bundle.install().stderr.splitlines()

    assert len(lines) == 2


def test_the_manifest_must_be_the_one_that_was_meant(bundle: SmallBundle, tmp_path: Path) -> None:
    digest = sha256((bundle.folder / "manifest.json").read_bytes()).hexdigest()
    assert "not the one that was meant" in bundle.install("--sha256", digest[::-1]).stderr
    key, signers = tmp_path / "key", tmp_path / "signers"
    for name in ("key", "other"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(tmp_path / name)]
        subprocess.run(words, check=True)
    signers.write_text(f"site {(tmp_path / 'key.pub').read_text()}")
    assert "belong together" in bundle.install("--signer", "site").stderr
    trusted = ("--sha256", digest, "--allowed-signers", str(signers), "--signer", "site")
    assert "is not signed" in bundle.install(*trusted).stderr

    for name, good in (("other", False), ("key", True)):
        (bundle.folder / "manifest.json.sig").unlink(missing_ok=True)
        signing.sign(bundle.folder, str(tmp_path / name))
        assert (bundle.install(*trusted).returncode == 0) is good
    assert key.exists()
