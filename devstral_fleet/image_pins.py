"""Which digest an image's name stands for: `images.lock.yml` beside the inventory (pure).

A digest comes from a registry (`invoke images --pin`) or is not there; none is ever made up.
"""

import re
from collections.abc import Mapping

import yaml

from devstral_fleet.errors import ConfigurationError

FILE = "images.lock.yml"
HEAD = "# Image: digest, as its registry said. Written by `invoke images --pin`; plans and builds take these.\n"
DOCKER_HUB = "registry-1.docker.io"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read(text: str, path: str) -> dict[str, str]:
    """Return {reference: digest}; '' for a file that is not there is no pins.

    Raises:
        ConfigurationError: the text is no such mapping; `path` is named.
    """
    try:
        held = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise _broken(path, "it is no YAML", str(error)) from error
    if not isinstance(held, dict):
        raise _broken(path, "it is no mapping of images to digests")
    for name, digest in held.items():
        if not (isinstance(name, str) and isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise _broken(path, f"{name}: '{digest}' is no digest")
    return dict(held)


def written(pins: Mapping[str, str]) -> str:
    """Return the file's text, sorted."""
    return HEAD + yaml.safe_dump(dict(pins), sort_keys=True, width=1000)


def pinned(reference: str, pins: Mapping[str, str]) -> str:
    """Return a reference with its digest, where the pins have one and it has none yet."""
    digest = pins.get(reference)
    return f"{reference}@{digest}" if digest and "@" not in reference else reference


def digest_of(reference: str) -> str:
    """Return the digest in a reference, '' where it names none."""
    return reference.partition("@")[2]


def has_registry(reference: str) -> bool:
    """Tell whether a name begins with a registry's address. Source: Docker's rule for image names."""
    first, slash, _ = reference.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def registry_of(reference: str) -> str:
    """Return the name of the machine that a reference is pulled from, without port. Source: as above."""
    return reference.partition("/")[0].partition(":")[0] if has_registry(reference) else DOCKER_HUB


def _broken(path: str, why: str, evidence: str = "") -> ConfigurationError:
    fix = ".venv/bin/invoke images --pin writes it anew once it is removed"
    return ConfigurationError(f"{path}: {why}", fix=fix, evidence=evidence.splitlines())
