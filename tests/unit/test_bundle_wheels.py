"""Which wheels another machine needs: its own markers count, what it has is left out, a large one keeps its content."""

import re
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.bundle import pack, wheels
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.workflows import bundle as workflow
from devstral_fleet.workflows import carrying

CONTENT = b"".join(sha256(bytes([number])).digest() for number in range(200))
LOCK = """\
# a comment
deprecated==1.3.1 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
deprecated==3.0.1 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:dd
Typing_Extensions==4.1 --hash=sha256:ee
only-arm==1 ; platform_machine == 'aarch64' --hash=sha256:ff
"""


@pytest.mark.parametrize(
    ("python", "wanted"),
    [
        ("3.11", ("deprecated==1.3.1 --hash=sha256:aa --hash=sha256:bb", "Typing_Extensions==4.1 --hash=sha256:ee")),
        ("3.12", ("deprecated==3.0.1 --hash=sha256:cc", "Typing_Extensions==4.1 --hash=sha256:ee")),
    ],
)
def test_markers_are_those_of_the_other_side(python: str, wanted: tuple[str, ...]) -> None:
    assert wheels.requirements(LOCK, python, "x86_64") == wanted


def test_another_processor_has_markers_of_its_own() -> None:
    assert wheels.requirements(LOCK, "3.12", "aarch64")[-1] == "only-arm==1 --hash=sha256:ff"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("torch = 2", "'torch = 2' is no requirement"),
        ("-r other.txt", "'-r other.txt' is no requirement"),
        ("torch==2", "'torch==2' has no hash"),
    ],
)
def test_a_line_that_would_bring_anything_is_refused(line: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        wheels.requirements(f"{line}\n", "3.12", "x86_64")


@pytest.mark.parametrize(
    ("wheel", "have", "driver"),
    [
        ("nvidia_cuda_runtime-13.0.96-py3-none-any.whl", {"nvidia-cuda-runtime-cu12": "12.9.1"}, "580.65.06"),
        ("", {"nvidia-cuda-runtime": "13.0.96"}, "580.65.06"),
        ("", {"nvidia-cuda-runtime-cu12": "12.9.79"}, "575"),
        ("", {"torch": "2.11.0"}, ""),
    ],
)
def test_the_driver_is_the_one_that_the_cuda_runtime_needs(
    tmp_path: Path, wheel: str, have: dict[str, str], driver: str
) -> None:
    if wheel:
        (tmp_path / wheel).touch()
    assert workflow._driver(workflow._cuda_runtime(tmp_path, have), catalogs.load()) == driver


def test_what_the_other_side_has_in_the_same_version_is_left_out_however_its_name_is_spelled() -> None:
    have = wheels.installed("typing-extensions==4.1\ntorch==2.11.0+cu130\n-e git+ssh://somewhere\n")
    assert have == {"typing-extensions": "4.1", "torch": "2.11.0+cu130"}
    assert wheels.without(wheels.requirements(LOCK, "3.12", "x86_64"), have) == ("deprecated==3.0.1 --hash=sha256:cc",)
    assert len(wheels.without(wheels.requirements(LOCK, "3.12", "x86_64"), {"typing-extensions": "4.2"})) == 2


def test_only_a_large_wheel_is_written_anew_and_the_lock_has_its_new_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "LARGE_BYTES", 1000)
    contents = {"large_one-1.0-py3-none-any.whl": CONTENT, "small-2-py3-none-any.whl": b"x"}
    for name, content in contents.items():
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as wheel:
            program = zipfile.ZipInfo("bin/program")
            program.external_attr = 0o755 << 16
            wheel.writestr(program, content)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    wheels.store_large(tmp_path)

    with zipfile.ZipFile(tmp_path / "large_one-1.0-py3-none-any.whl") as stored:
        (member,) = stored.infolist()
        assert (member.compress_type, stored.read(member)) == (zipfile.ZIP_STORED, CONTENT)
        assert member.external_attr >> 16 & 0o777 == 0o755
    assert (tmp_path / "small-2-py3-none-any.whl").read_bytes() == before["small-2-py3-none-any.whl"]
    lines = wheels.lock(tmp_path).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["large-one==1.0", "small==2"]
    assert wheels.requirements(wheels.lock(tmp_path), "3.12", "x86_64") == tuple(lines)


@pytest.mark.parametrize(("text", "size"), [("56MiB", 56 * 2**20), ("2GiB", 2 * 2**30)])
def test_sizes(text: str, size: int) -> None:
    assert workflow.part_bytes(text) == size


@pytest.mark.parametrize("text", ["56", "0MiB", "56MB", "-1GiB", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no size from 1MiB up"):
        workflow.part_bytes(text)


@pytest.mark.parametrize(
    ("accelerator", "python", "requirements", "sglang", "said"),
    [
        ("tpu", "3.12", "", "", "'tpu' is none of nvidia, amd, cpu"),
        ("cpu", "3.10", "", "", "'3.10' is none of 3.11, 3.12, 3.13"),
        ("nvidia", "3.12", "", "", "no lock of an engine for nvidia"),
        ("nvidia", "3.12", "/nowhere/lock", "0.5.17", "--requirements /nowhere/lock: there is no such file"),
        ("nvidia", "3.12", __file__, "", "needs its SGLang version"),
    ],
)
def test_an_order_that_cannot_be_is_refused(
    tmp_path: Path, accelerator: str, python: str, requirements: str, sglang: str, said: str
) -> None:
    def ordered() -> None:
        order = workflow.order(accelerator, python, "x86_64", "1GiB", "", requirements, sglang, "")
        workflow.refuse(order, tmp_path / "bundle")

    with pytest.raises(ConfigurationError) as refused:
        ordered()
    assert said in refused.value.message


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    order = workflow.order("cpu", "3.12", "x86_64", "1GiB", "", "", "", "")
    with pytest.raises(ConfigurationError, match="is there already"):
        workflow.refuse(order, tmp_path)


def test_a_file_that_changes_while_the_bundle_is_made_is_named_and_leaves_no_part(tmp_path: Path) -> None:
    paths = {name: tmp_path / name for name in ("changed", "kept")}
    for path in paths.values():
        path.write_text("before")
    known, made = pack.digests(paths), tmp_path / "made"
    made.mkdir()
    paths["changed"].write_text("afterwards")
    with pytest.raises(ConfigurationError, match="changed was changed while the bundle was made"):
        pack.pack(paths, known, made, "0" * 8, 1 << 20)
    assert list(made.iterdir()) == []


def test_a_model_that_is_not_whole_is_no_part_of_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    order = workflow.order("cpu", "3.12", "x86_64", "1GiB", "", "", "", "", models=f"{tmp_path / 'half'}")
    with pytest.raises(ConfigurationError, match="no model's files are there, or not all of them"):
        workflow.refuse(order, tmp_path / "bundle")


def test_a_models_files_have_its_folders_name(tmp_path: Path) -> None:
    for name in ("tiny-1/.weights.json", "tiny-1/deep/file", "tiny-2/.complete"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    folders = [tmp_path / "tiny-1", tmp_path / "tiny-2"]
    carrying.require_whole(folders)
    found = {name: path.read_text() for name, path in carrying.model_files(folders).items()}
    assert found == {
        f"models/{name}": name for name in ("tiny-1/.weights.json", "tiny-1/deep/file", "tiny-2/.complete")
    }
    assert carrying.model_files([]) == {}


def test_with_an_image_no_lock_of_an_engine_is_needed(tmp_path: Path) -> None:
    words = ("amd", "3.12", "x86_64", "1GiB", "", "", "", "")
    with pytest.raises(ConfigurationError, match="the project has no lock of an engine for amd"):
        workflow.refuse(workflow.order(*words), tmp_path / "bundle")
    order = workflow.order(*words, images="engine:site, other:site")
    workflow.refuse(order, tmp_path / "bundle")
    assert order.images == ("engine:site", "other:site")
    lock = tmp_path / "engine.lock"
    lock.touch()
    words = ("nvidia", "3.12", "x86_64", "1GiB", "", str(lock), "0.5.17", "")
    with pytest.raises(ConfigurationError, match="one in a container"):
        workflow.refuse(workflow.order(*words, images="engine:site"), tmp_path / "bundle")
