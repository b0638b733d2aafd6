"""The lock of images: what it says, and what it may not."""

import pytest

from devstral_fleet import image_pins
from devstral_fleet.errors import ConfigurationError

DIGEST = "sha256:" + "0" * 64


def test_what_is_written_is_read() -> None:
    pins = {"site.example:5000/engine:1": DIGEST, "a/b:v1": DIGEST}
    assert image_pins.read(image_pins.written(pins), "file") == pins
    assert image_pins.read("", "file") == {}


@pytest.mark.parametrize(("text", "said"), [
    ("a: [", "it is no YAML"),
    ("- a", "no mapping"),
    ("a: sha256:12", "a: 'sha256:12' is no digest"),
    ("a: 5", "a: '5' is no digest"),
])  # fmt: skip
def test_a_broken_lock_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        image_pins.read(text, "inventory/images.lock.yml")
    assert caught.value.message.startswith("inventory/images.lock.yml: ")
    assert said in caught.value.message


def test_a_reference_gets_its_digest_once() -> None:
    pins = {"a/b:1": DIGEST}
    assert image_pins.pinned("a/b:1", pins) == f"a/b:1@{DIGEST}"
    assert image_pins.pinned(f"a/b:1@{DIGEST}", pins) == f"a/b:1@{DIGEST}"
    assert image_pins.pinned("a/b:2", pins) == "a/b:2"
    assert image_pins.digest_of(f"a/b:1@{DIGEST}") == DIGEST
    assert image_pins.digest_of("a/b:1") == ""


@pytest.mark.parametrize(("name", "there"), [
    ("site.example/engine", True),
    ("host:5000/engine", True),
    ("localhost/engine", True),
    ("lmsysorg/sglang:v1", False),
    ("debian:1.2", False),
])  # fmt: skip
def test_a_registry_in_a_name(name: str, there: bool) -> None:
    assert image_pins.has_registry(name) is there
