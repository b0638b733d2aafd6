"""What plans need of files and hosts, read by whoever plans (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from devstral_fleet.weights import WeightPin


@dataclass(frozen=True)
class Sources:
    """Values that stand for what a plan is made from and nothing here reads.

    Attributes:
        requirements: content of each file that `requirements_files` names; a missing one is a problem of its host.
        shims: content of the files that are laid into the engine environment, joined.
        drivers: driver version of each host that was looked at; it decides between images.
        pins: image reference -> sha256 digest (`image_pins`).
        recipes: files of the build of each kind of image of ours, by their path in the build.
        weights: repository -> its revision and files, as the hub said (`models --pin`).
        weightless: model -> digest of what makes its files without its weights.
        trust: content of each file of certificates that the inventory names (`fleet_ca_bundle`).
    """

    requirements: Mapping[str, bytes] = field(default_factory=dict)
    shims: bytes = b""
    drivers: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    weights: Mapping[str, WeightPin] = field(default_factory=dict)
    weightless: Mapping[str, str] = field(default_factory=dict)
    trust: Mapping[str, bytes] = field(default_factory=dict)
