"""What an image of ours is made from, and what it is called."""

import json
from dataclasses import replace

import pytest

from devstral_fleet.container import CACHE, IMAGE_USER
from devstral_fleet.image_spec import REQUIREMENTS, folders
from tests.support.builds import PEM, spec_of


def test_a_name_says_what_it_is_and_equal_content_has_an_equal_one() -> None:
    spec = spec_of("cuda13")
    assert spec.reference == f"devstral-fleet/cuda13:0.5.20-{spec.digest}"
    assert spec_of("cuda13").reference == spec.reference
    assert len(spec.digest) == 12


@pytest.mark.parametrize("change", [
    {"base": "other:1"},
    {"bundle": "/site/ca.pem"},
    {"requirements": "own.lock", "own_requirements": True},
])  # fmt: skip
def test_other_content_has_another_name(change: dict[str, object]) -> None:
    assert spec_of("cpu", **change).digest != spec_of("cpu").digest


def test_each_file_counts() -> None:
    spec = spec_of("rocm720-mi30x")
    digests = {replace(spec, files={**spec.files, path: b"FROM other\n"}).digest for path in spec.files}
    assert len(digests | {spec.digest}) == len(spec.files) + 1


def test_the_base_is_the_catalogs_with_its_digest_where_that_is_pinned() -> None:
    assert spec_of("cuda12").arguments()["BASE_IMAGE"] == "lmsysorg/sglang:v0.5.20-cu129"
    assert not spec_of("cuda12").is_pinned
    pinned = spec_of("cuda12", base="site.example/base:1")
    assert pinned.arguments()["BASE_IMAGE"] == f"site.example/base:1@sha256:{'a' * 64}"
    assert pinned.is_pinned


def test_arguments() -> None:
    arguments = spec_of("cpu").arguments()
    assert (arguments["ENGINE_USER"], arguments["ENGINE_HOME"]) == (str(IMAGE_USER), CACHE)
    assert arguments["TORCH"].startswith("torch==")
    assert arguments["TORCH_INDEX"].startswith("https://")
    assert "TORCH" not in spec_of("cuda13").arguments()


def test_a_sites_own_requirements_pin_torch_themselves_and_need_no_shims() -> None:
    own = spec_of("cpu", requirements="own.lock", own_requirements=True)
    assert own.arguments()["TORCH"] == ""
    assert own.context()[REQUIREMENTS] == b"sglang==2\n"
    assert not [path for path in own.context() if "shims" in path]
    assert [path for path in spec_of("cpu").context() if "shims" in path]


def test_labels_say_versions_and_plan() -> None:
    spec = spec_of("cuda13", base="site.example/base:1")
    assert spec.labels() == {
        "org.opencontainers.image.title": "Devstral Fleet engine: cuda13",
        "org.opencontainers.image.version": "0.5.20",
        "org.opencontainers.image.base.name": "site.example/base:1",
        "org.opencontainers.image.base.digest": "sha256:" + "a" * 64,
        "devstral-fleet.image": "cuda13",
        "devstral-fleet.plan.reference": spec.reference,
        "devstral-fleet.sglang": "0.5.20",
        "devstral-fleet.transformers": ">=5.0.0rc0",
    }
    assert "org.opencontainers.image.base.digest" not in spec_of("cuda13").labels()
    assert spec_of("cpu").labels()["devstral-fleet.torch"].startswith("torch==")


def test_the_context_holds_the_constraint_and_one_certificate_a_file() -> None:
    context = spec_of("cuda13", bundle="/site/ca.pem").context()
    assert context["constraints.txt"] == b"transformers>=5.0.0rc0\n"
    assert context["trust/001.crt"] == context["trust/002.crt"] == PEM
    assert {"site", "trust", "shared"} <= set(folders(spec_of("cuda13")))


def test_the_health_check_asks_the_default_port() -> None:
    last = spec_of("cuda13").context()["Dockerfile"].decode().splitlines()[-1]
    assert json.loads(last.partition(" CMD ")[2]) == ["sh", "/opt/devstral-fleet/healthcheck.sh", "25", "30000"]
