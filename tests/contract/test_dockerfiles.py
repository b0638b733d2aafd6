"""The Dockerfiles: the same stages in the same order, their arguments the build's, their files in its context."""

import re
from pathlib import PurePosixPath

import pytest

from devstral_fleet import container
from devstral_fleet.image_spec import folders
from tests.support.builds import CATALOG, spec_of
from tests.support.tree import ROOT

RECIPES = ("cuda", "rocm", "cpu")
IMAGES: dict[str, str] = {image.recipe: image.name for image in CATALOG.images.values()}
STAGES = [("${BASE_IMAGE}", "system"), ("system", "packages"), ("system", "engine")]
OF_THE_SITE = {"APT_MIRROR"}


def dockerfile(recipe: str) -> str:
    """Its text, with continued lines joined."""
    return (ROOT / "docker" / recipe / "Dockerfile").read_text().replace("\\\n", " ")


def words(recipe: str, instruction: str) -> list[list[str]]:
    return [line.split()[1:] for line in dockerfile(recipe).splitlines() if line.startswith(f"{instruction} ")]


def test_every_recipe_has_a_dockerfile_and_no_other_is_there() -> None:
    assert sorted(IMAGES) == sorted(RECIPES)
    assert sorted(path.parent.name for path in (ROOT / "docker").glob("*/Dockerfile")) == sorted(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_stages_are_the_same_in_the_same_order(recipe: str) -> None:
    assert [(line[0], line[2]) for line in words(recipe, "FROM")] == STAGES


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_arguments_are_the_builds(recipe: str) -> None:
    asked = {line[0].partition("=")[0] for line in words(recipe, "ARG")}
    assert asked == spec_of(IMAGES[recipe]).arguments().keys() | OF_THE_SITE


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_copied_is_in_the_context(recipe: str) -> None:
    spec = spec_of(IMAGES[recipe])
    files = {*spec.context(), *folders(spec), "site/ca.pem", "site/pip.conf"}
    copied = [source for line in words(recipe, "COPY") if not line[0].startswith("--from") for source in line[:-1]]
    assert copied
    assert not [source for source in copied if str(PurePosixPath(source)) not in files]


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_of_the_site_reaches_the_image(recipe: str) -> None:
    *_, engine = dockerfile(recipe).split("\nFROM ")
    assert not re.search(r"pip\.conf|wheels|APT_MIRROR|COPY site", engine)
    assert "RUN rm -rf /build" in engine


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_image_is_not_roots_and_has_an_init(recipe: str) -> None:
    assert words(recipe, "USER")[-1] == ["${ENGINE_USER}:${ENGINE_USER}"]
    assert spec_of(IMAGES[recipe]).arguments()["ENGINE_USER"] == str(container.IMAGE_USER)
    assert "tini" in dockerfile(recipe)
    assert words(recipe, "ENTRYPOINT") == [['["sh",', '"/opt/devstral-fleet/entrypoint.sh"]']]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_health_check_is_the_catalogs_and_stands_in_no_dockerfile(recipe: str) -> None:
    assert "HEALTHCHECK" not in dockerfile(recipe)
    accelerator = CATALOG.image(IMAGES[recipe]).accelerator
    slowest = max(model.health_deadline_s for model in CATALOG.models.values() if accelerator in model.accelerators)
    last = spec_of(IMAGES[recipe]).context()["Dockerfile"].decode().splitlines()[-1]
    assert last.startswith(f"HEALTHCHECK --start-period={slowest}s ")
