"""Pins of a model's files: what is read, what is refused, and what is said while the files come."""

import json

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import weights
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.resolve import resolve
from devstral_fleet.sources import Sources
from devstral_fleet.weights import Said, WeightFile, WeightPin
from tests.support.intents import gpu_host

REVISION = "0123456789abcdef0123456789abcdef01234567"
LARGE, SMALL = "sha256:" + "a" * 64, "git:" + "b" * 40
PIN = WeightPin(
    revision=REVISION,
    files={"config.json": WeightFile(size=10, hash=SMALL), "model.safetensors": WeightFile(size=5 * 10**9, hash=LARGE)},
)
REPOSITORY = "mistralai/Devstral-Small-2-24B-Instruct-2512"


def test_what_is_written_is_read_again() -> None:
    text = weights.written({REPOSITORY: PIN})
    assert text.startswith("# Repository: revision and files, as its hub said.")
    assert weights.read(text, "models.lock.yml") == {REPOSITORY: PIN}
    assert weights.read("", "models.lock.yml") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "it is no YAML"),
        ("- a", "the whole file"),
        (f"a: {{revision: {REVISION[:12]}, files: {{}}}}", "a.revision"),
        (f"a: {{revision: {REVISION}, files: {{}}}}", "a.files"),
        (f"a: {{revision: {REVISION}, files: {{m: {{size: -1, hash: '{LARGE}'}}}}}}", "a.files.m.size"),
        (f"a: {{revision: {REVISION}, files: {{m: {{size: 1, hash: 'md5:1'}}}}}}", "a.files.m.hash"),
        (f"a: {{revision: {REVISION}, files: {{../m: {{size: 1, hash: '{LARGE}'}}}}}}", "leads out of"),
        (f"a: {{revision: {REVISION}, files: {{/m: {{size: 1, hash: '{LARGE}'}}}}}}", "leads out of"),
        (f"a: {{revision: {REVISION}, when: 1, files: {{m: {{size: 1, hash: '{LARGE}'}}}}}}", "a.when"),
    ],
)
def test_what_is_no_pin_is_refused_by_its_key(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"models\.lock\.yml: ") as caught:
        weights.read(text, "site/models.lock.yml")
    assert said in caught.value.message
    assert "--pin" in caught.value.fix


def test_only_what_is_served_is_needed() -> None:
    model = catalogs.load().model("devstral-2")
    paths = ["README.md", "config.json", "consolidated-00001.safetensors", "consolidated.safetensors.index.json"]
    paths += [".gitattributes", "model-00001.safetensors", "tekken.json"]
    assert weights.needed(paths, model.exclude) == ["config.json", "model-00001.safetensors", "tekken.json"]


def test_a_pinned_plan_names_revision_and_content() -> None:
    plain = resolve(gpu_host(), catalogs.load(), Sources())
    pinned = resolve(gpu_host(), catalogs.load(), Sources(weights={REPOSITORY: PIN}))
    assert (plain.files.directory, weights.marker(plain.files)) == ("devstral-small-2-main", "config.json")
    assert (pinned.files.revision, pinned.files.digest) == (REVISION, PIN.digest)
    assert (pinned.files.directory, weights.marker(pinned.files)) == ("devstral-small-2-0123456789ab", weights.MANIFEST)
    assert "/opt/devstral-fleet/models/devstral-small-2-0123456789ab" in pinned.arguments
    assert pinned.digest != plain.digest


def test_the_digest_is_of_the_content_whatever_the_revision() -> None:
    assert PIN.model_copy(update={"revision": "f" * 40}).digest == PIN.digest
    other = {**PIN.files, "config.json": WeightFile(size=10, hash="git:" + "c" * 40)}
    assert PIN.model_copy(update={"files": other}).digest != PIN.digest


def test_the_newest_line_that_can_be_read_counts() -> None:
    lines = [{"bytes": 1, "total": 10, "doing": "a"}, {"bytes": 4, "total": 10, "doing": "b"}]
    text = "\n".join(map(json.dumps, lines))
    assert weights.said(f'{text}\n{{"bytes": 5, "to') == Said(bytes=4, total=10, doing="b")
    assert weights.said("Traceback\n") == Said()


@pytest.mark.parametrize(
    ("now", "came", "elapsed_s", "text"),
    [
        (Said(doing="another download into the same folder"), 0, 3.0, "another download into the same folder"),
        (Said(bytes=0, total=26 * 10**9, doing="a"), 0, 0.0, "0.0 of 26.0 GB (a)"),
        (Said(bytes=6 * 10**9, total=26 * 10**9, doing="a"), 4 * 10**9, 40.0, "6.0 of 26.0 GB, 100 MB/s, about "),
    ],
)
def test_the_line_says_how_far_how_fast_and_how_long(now: Said, came: int, elapsed_s: float, text: str) -> None:
    assert weights.words(now, came, elapsed_s).startswith(text)
