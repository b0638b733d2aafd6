"""Find the inventory, ask ansible-inventory what is in it, and give the chosen hosts as typed values."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from devstral_fleet.errors import ConfigurationError, DependencyError, InventoryError
from devstral_fleet.intent import HostIntent
from devstral_fleet.inventory.keys import Problem, read_intent
from devstral_fleet.inventory.pattern import select

DEFAULT_INVENTORY = Path("inventory/hosts.yml")
ENVIRONMENT_VARIABLE = "FLEET_INVENTORY"
ANSIBLE_INVENTORY_TIMEOUT_S = 60

Variables = Mapping[str, object]


def resolve_path(option: str | None, environment: Mapping[str, str], cwd: Path) -> Path:
    """Return the inventory's absolute path: --inventory, else $FLEET_INVENTORY, else inventory/hosts.yml.

    Raises:
        ConfigurationError: nothing is there; the message says which of the three named it.
    """
    variable = environment.get(ENVIRONMENT_VARIABLE)
    if option:
        source, name = "--inventory", Path(option)
    elif variable:
        source, name = f"${ENVIRONMENT_VARIABLE}", Path(variable)
    else:
        source, name = "the default", DEFAULT_INVENTORY
    path = cwd / name.expanduser()
    if not path.exists():
        raise ConfigurationError(
            f"there is no inventory {path} ({source})",
            fix="name one with --inventory, or run from the checkout, whose inventory/hosts.yml is the default",
        )
    return path


def load(path: Path, pattern: str) -> list[HostIntent]:
    """Return the hosts that `pattern` means, in its order, each checked whole.

    Raises:
        InventoryError: unreadable file (with file and line), unknown host, group or key, value of a wrong type;
            every problem of every chosen host at once.
        DependencyError: ansible-inventory is missing.
    """
    for file in yaml_files(path):
        check_yaml(file)
    groups, variables = parse_listing(_ask_ansible(path), path)
    results = [read_intent(name, variables.get(name, {}), path) for name in select(pattern, groups)]
    problems = [problem for result in results for problem in result.problems]
    if problems:
        raise _invalid(path, problems)
    return [result.intent for result in results if result.intent is not None]


def parse_listing(text: str, path: Path) -> tuple[dict[str, list[str]], dict[str, Variables]]:
    """Read the output of `ansible-inventory --list`: every group's hosts, children included, and hosts' variables."""
    try:
        listing = json.loads(text)
        variables: dict[str, Variables] = listing["_meta"]["hostvars"]
    except (ValueError, KeyError, TypeError) as error:
        raise InventoryError(f"{path}: ansible-inventory printed no listing", evidence=text.splitlines()[:5]) from error
    groups = {name: list(dict.fromkeys(_hosts_of(name, listing))) for name in listing if name != "_meta"}
    everyone = [*groups.get("all", ()), *(host for hosts in groups.values() for host in hosts)]
    groups["all"] = list(dict.fromkeys([*everyone, *variables]))
    return groups, variables


def yaml_files(path: Path) -> Iterator[Path]:
    """Yield the YAML files that Ansible will read for this inventory, group and host variables included."""
    folder = path if path.is_dir() else path.parent
    if path.is_file() and path.suffix in (".yml", ".yaml"):
        yield path
    if path.is_dir():
        yield from sorted(file for file in path.iterdir() if file.suffix in (".yml", ".yaml"))
    for name in ("group_vars", "host_vars"):
        yield from sorted(file for file in (folder / name).rglob("*") if file.suffix in (".yml", ".yaml"))


def check_yaml(file: Path) -> None:
    """Raise InventoryError with file and line where the text is no YAML, or says a key twice (the last would win)."""
    try:
        root = yaml.compose(file.read_text(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        shown = (mark.get_snippet() or "").splitlines() if mark else []
        problem = error.problem or error.context or "it cannot be parsed"
        raise InventoryError(
            f"{file}{line}: malformed YAML: {problem}", fix=f"correct {file}", evidence=shown
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InventoryError(f"{file}: cannot be read: {error}", fix=f"correct {file}") from error
    for key in _repeated_keys(root):
        raise InventoryError(
            f"{file}:{key.start_mark.line + 1}: '{key.value}' stands here a second time",
            fix="keep one of the two; YAML would silently take the last",
        )


def _repeated_keys(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _repeated_keys(entry)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.value != "<<":
                    yield key
                seen.add(key.value)
            yield from _repeated_keys(value)


def _hosts_of(group: str, listing: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[str]:
    yield from listing.get(group, {}).get("hosts", ())
    for child in listing.get(group, {}).get("children", ()):
        yield from _hosts_of(child, listing)


def _ask_ansible(path: Path) -> str:
    program = Path(sys.executable).parent / "ansible-inventory"
    words = [str(program), "-i", str(path), "--list"]
    settings = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSIBLE_INVENTORY_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise DependencyError(f"{program} is missing", fix="make setup") from error
    except subprocess.TimeoutExpired as error:
        raise InventoryError(
            f"ansible-inventory did not read {path} within {ANSIBLE_INVENTORY_TIMEOUT_S} s",
            fix=f"see what it waits for: {' '.join(words)}",
        ) from error
    if done.returncode:
        raise InventoryError(
            f"{path}: {_first_reason(done.stderr)}",
            fix=f"see all that Ansible says: {' '.join(words)}",
            evidence=done.stderr.strip().splitlines()[-10:],
        )
    return done.stdout


def _first_reason(text: str) -> str:
    lines = (re.sub(r"^\[?(ERROR|WARNING)\]?:? *", "", line).strip() for line in text.splitlines())
    reasons = [line for line in lines if line]
    return reasons[0] if reasons else "Ansible cannot read this inventory"


def _invalid(path: Path, problems: Iterable[Problem]) -> InventoryError:
    listed = tuple(problems)
    if len(listed) == 1:
        only = listed[0]
        return InventoryError(f"{path}: {only.sentence}", fix=only.fix, host=only.host)
    lines = [f"{problem.sentence} ({problem.fix})" if problem.fix else problem.sentence for problem in listed]
    return InventoryError(f"{path}: {len(lines)} problems", fix="correct each line below", evidence=lines)
