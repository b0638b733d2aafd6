"""Role variables and argument specifications say the same."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet import lock, rolevars, rolevars_provision
from devstral_fleet.image_site import BuildSite
from tests.support.builds import spec_of
from tests.support.plans import IN_A_CONTAINER, role_variables
from tests.support.provisions import provision_plan
from tests.support.tree import ROOT

ROLES = ROOT / "playbooks" / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if (path / "tasks").is_dir())
OF_ANOTHER_PLAYBOOK = (
    "image_build",
    "repositories",
    "packages",
    "package_holds",
    "host_settings",
    "docker_engine",
    "reboot",
    "gpu_driver",
    "boot_parameters",
    "container_toolkit",
)
"""Roles that validate their own variables: their playbooks have no others."""
Options = Mapping[str, Mapping[str, Any]]
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "path": str,
    "int": int,
    "bool": bool,
    "list": list,
    "dict": dict,
}


@pytest.fixture
def variables(tmp_path: Path) -> rolevars.RoleVariables:
    """Of both runtimes: each has a role that the other has not; of the build, and of what lies under an engine."""
    built = rolevars.image_build(spec_of("cpu"), BuildSite(), context="/c", copied_to="", log="", python="python3")
    provisioned = rolevars_provision.provision(provision_plan(), python="python3", lock_wait_s=1)
    provisioned |= rolevars_provision.reboot(deadline_s=1, reason="libc6")
    return {**role_variables(tmp_path), **role_variables(tmp_path, **IN_A_CONTAINER), **built, **provisioned}


def specification(role: str) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    specs: Mapping[str, Any] = loaded["argument_specs"]
    return specs


def all_options(options: Options, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, option in options.items():
        yield f"{path}.{name}", option
        yield from all_options(option.get("options", {}), f"{path}.{name}")


def differences(values: Mapping[str, object], options: Options, path: str) -> Iterator[str]:
    """Yield each key that only one side has, and each value of another type than specified."""
    yield from (f"{path}.{name}" for name in values.keys() ^ options.keys())
    for name in values.keys() & options.keys():
        value, option = values[name], options[name]
        if not isinstance(value, TYPES[option["type"]]):
            yield f"{path}.{name} is no {option['type']}"
        if "options" in option and isinstance(value, dict):
            yield from differences(value, option["options"], f"{path}.{name}")


def test_every_role_has_variables_and_no_other(variables: rolevars.RoleVariables) -> None:
    assert sorted(variables) == NAMES


@pytest.mark.parametrize("role", NAMES)
def test_variables_are_exactly_what_the_role_specifies(role: str, variables: rolevars.RoleVariables) -> None:
    for entry in specification(role).values():
        assert not list(differences({role: variables[role]}, entry["options"], role))


@pytest.mark.parametrize("role", NAMES)
def test_specifications_are_typed_required_described_and_without_defaults(role: str) -> None:
    for entry in specification(role).values():
        for path, option in all_options(entry["options"], role):
            assert {"type", "required", "description"} <= option.keys(), path
            assert option["required"] is True, path
            assert "default" not in option, path


@pytest.mark.parametrize("role", NAMES)
def test_no_role_has_defaults_of_its_own(role: str) -> None:
    assert not (ROLES / role / "defaults").exists()


def test_validate_names_every_role_of_a_deploy() -> None:
    [play] = yaml.safe_load((ROOT / "playbooks" / "validate.yml").read_text())
    assert sorted([*play["tasks"][0]["loop"], *OF_ANOTHER_PLAYBOOK]) == NAMES


@pytest.mark.parametrize("path", sorted(ROLES.rglob("*.yml")), ids=lambda path: str(path.relative_to(ROLES)))
def test_registered_names_carry_their_role(path: Path) -> None:
    role = path.relative_to(ROLES).parts[0]
    registered = re.findall(r"^\s*register:\s*(\S+)", path.read_text(), re.MULTILINE)
    assert all(name.startswith(f"__{role}_") for name in registered)


def test_the_guard_and_the_lock_agree_when_a_controller_is_dead() -> None:
    assert yaml.safe_load((ROLES / "service" / "vars" / "main.yml").read_text())["__service_heartbeat_stale_s"] == (
        lock.STALE_S
    )
