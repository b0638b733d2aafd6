"""What stands against an engine environment or a model ends the deploy with its reason; what is half done is redone."""

import subprocess
import sys
from pathlib import Path

import pytest

from devstral_fleet.errors import PlaybookError
from devstral_fleet.plan import EngineEnvironment, ModelFiles
from tests.ansible.conftest import Host


def failing_python(folder: Path, message: str) -> str:
    """An interpreter that cannot do what `-c` asks and says why."""
    path = folder / "python3"
    path.write_text(f'#!/bin/sh\nif [ "$1" = -c ]; then echo "{message}" >&2; exit 1; fi\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_without_venv_is_named_with_its_package(bare: Host, tmp_path: Path) -> None:
    bare.python = failing_python(tmp_path, "ModuleNotFoundError: No module named 'ensurepip'")
    with pytest.raises(PlaybookError, match=r"No module named 'ensurepip'.*apt-get install python3-venv") as caught:
        bare.play("deploy.yml").raise_for_failure()
    assert caught.value.task == "Require an interpreter that can make environments"


def test_a_transformers_that_is_too_old_is_refused(bare: Host) -> None:
    plan = bare.plan(transformers_minimum="99")
    with pytest.raises(PlaybookError, match="does not know the model; it needs 99"):
        bare.play("deploy.yml", plan=plan).raise_for_failure()
    assert not list(bare.home.glob("environments/*/.complete"))


def test_a_torch_that_nobody_offers_ends_with_both_reasons(bare: Host) -> None:
    wanted = bare.plan().engine_environment
    assert wanted
    environment = EngineEnvironment(
        requirements=wanted.requirements,
        digest=wanted.digest,
        torch="torch==0.0.1+none",
        torch_index="http://127.0.0.1:9/simple",
    )
    with pytest.raises(PlaybookError, match=r"torch==0\.0\.1\+none could not be installed.*127\.0\.0\.1:9"):
        bare.play("deploy.yml", plan=bare.plan(engine_environment=environment)).raise_for_failure()


def test_what_an_interrupted_install_left_is_removed_and_its_writers_ended(bare: Host) -> None:
    digest = bare.plan().engine_environment
    assert digest
    directory = bare.home / "environments" / digest.digest
    (directory / "bin").mkdir(parents=True)
    (directory / "half").touch()
    (directory / "bin" / "python").symlink_to(sys.executable)
    writer = subprocess.Popen([str(directory / "bin" / "python"), "-c", "import signal; signal.pause()"])
    try:
        bare.deploy()
        assert writer.wait(5) != 0
    finally:
        writer.kill()
    assert (directory / ".complete").exists()
    assert not (directory / "half").exists()


def test_a_model_that_nobody_put_there_is_named_with_its_directory(host: Host) -> None:
    files = ModelFiles(source="hub", repository="site/model", revision="main", directory="site-model")
    with pytest.raises(PlaybookError, match=r"site/model are not in .*/models/site-model"):
        host.play("deploy.yml", plan=host.plan(files=files)).raise_for_failure()


def test_a_recipe_with_an_unknown_key_is_refused(host: Host) -> None:
    files = ModelFiles(
        source="generated", repository="x", revision=None, directory="strange", recipe={"arch": "mistral3", "legs": 4}
    )
    with pytest.raises(PlaybookError, match="legs"):
        host.play("deploy.yml", plan=host.plan(files=files)).raise_for_failure()
    assert [path.name for path in (host.home / "models").iterdir()] == ["devstral-tiny-1"]
