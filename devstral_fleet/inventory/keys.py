"""A host's variables, as Ansible resolved them, to a typed HostIntent (pure but for the reader's home directory)."""

import difflib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import NoneType, UnionType
from typing import get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from devstral_fleet.intent import Connection, HostIntent

PREFIX = "fleet_"
KEYS = tuple(name for name in HostIntent.model_fields if name not in ("name", "connection"))
_TEMPLATE = re.compile(r"\{\{|\{%")
_SAFE_PATH = re.compile(r"^/[A-Za-z0-9._/+@-]+$")
_SSH_KINDS = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh")
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "dict": "a mapping of names to values",
}
_REMEDY = {"int": "write it without quotes and without a fraction", "bool": "write true or false"}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one host, in one sentence, and what to do."""

    host: str
    sentence: str
    fix: str = ""


@dataclass(frozen=True)
class IntentResult:
    """A host's intent, or every reason why there is none."""

    intent: HostIntent | None = None
    problems: list[Problem] = field(default_factory=list)


def read_intent(name: str, variables: Mapping[str, object], path: Path) -> IntentResult:
    """Read one host. `path` is the inventory, which relative controller paths start from."""
    given = {key.removeprefix(PREFIX): value for key, value in variables.items() if key.startswith(PREFIX)}
    connection, problems = read_connection(name, variables)
    unknown, templated = _unknown_keys(name, given), _templated(name, given)
    problems += [*unknown, *templated]
    if templated or connection is None:
        return IntentResult(problems=problems)
    values = _typed(given, path.parent if path.is_file() else path, connection)
    try:
        intent = HostIntent.model_validate({**values, "name": name, "connection": connection})
    except ValidationError as error:
        # A key that is missing beside one that is unknown is that one, misspelt: said once is enough.
        said = [detail for detail in error.errors() if not (unknown and detail["type"] == "missing")]
        return IntentResult(problems=[*problems, *(_sentence(name, detail) for detail in said)])
    problems += _home_problems(intent)
    return IntentResult(None if problems else intent, problems)


def read_connection(name: str, variables: Mapping[str, object]) -> tuple[Connection | None, list[Problem]]:
    """Read Ansible's own connection variables."""
    values = {key: value for key, value in variables.items() if key.startswith("ansible_")}
    kind = str(values.get("ansible_connection", "ssh"))
    arguments = ssh_arguments(values)
    if kind not in (*_SSH_KINDS, "local"):
        fix = "leave ansible_connection out (ssh), or set it to local"
        return None, [Problem(name, f"{name}: ansible_connection '{kind}' is not supported", fix)]
    if arguments.get("stricthostkeychecking", "yes") in ("no", "off", "accept-new"):
        fix = f"remove it; accept the key once: .venv/bin/invoke init --host {name}"
        return None, [
            Problem(name, f"{name}: StrictHostKeyChecking is switched off; host keys are always checked", fix)
        ]
    chosen = {
        "address": _first(values, "ansible_host", "ansible_ssh_host") or name,
        "port": _first(values, "ansible_port", "ansible_ssh_port"),
        "user": _first(values, "ansible_user", "ansible_ssh_user"),
        "private_key_file": _first(values, "ansible_ssh_private_key_file", "ansible_private_key_file"),
        "known_hosts_file": arguments.get("userknownhostsfile"),
        "become": _first(values, "ansible_become"),
    }
    if kind == "local":
        chosen = {"become": chosen["become"]}
    templated = [key for key, value in chosen.items() if _TEMPLATE.search(str(value))]
    if templated:
        return None, [Problem(name, f"{name}: the connection's {templated[0]} holds a template", _TEMPLATE_FIX)]
    fields = Connection.model_fields
    typed = {key: coerced(fields[key].annotation, value) for key, value in chosen.items() if value is not None}
    try:
        connection = Connection.model_validate({**typed, "kind": "local" if kind == "local" else "ssh"})
    except ValidationError as error:
        return None, [_sentence(name, detail, prefix="ansible_") for detail in error.errors()]
    return connection, []


_TEMPLATE_FIX = "write the value itself; these keys are read as they stand, templates only work inside a play"


def ssh_arguments(variables: Mapping[str, object]) -> dict[str, str]:
    """The `-o Name=value` options that the inventory gives to ssh, names in lower case."""
    keys = ("ansible_ssh_args", "ansible_ssh_extra_args", "ansible_ssh_common_args")
    words = [word for key in keys for word in shlex.split(str(variables.get(key) or ""))]
    options: dict[str, str] = {}
    for word, after in zip(words, [*words[1:], ""]):
        text = after if word == "-o" else word.removeprefix("-o")
        name, _, value = text.partition("=")
        if word.startswith("-o") and value:
            options.setdefault(name.lower(), value)
    return options


def coerced(annotation: object, value: object) -> object:
    """Bring a YAML or INI value to the type the key wants, where nothing is lost; anything else stays as it is.

    INI inventories give text for numbers; YAML gives numbers for versions. A truth value never becomes a number.
    """
    wanted = [kind for kind in get_args(annotation) if kind is not NoneType] or [annotation]
    kind = wanted[0] if get_origin(annotation) is UnionType else annotation
    if get_origin(kind) is dict and isinstance(value, dict):
        return {str(key): coerced(str, entry) for key, entry in value.items()}
    if get_origin(kind) is tuple and isinstance(value, list):
        each = get_args(kind)[0]
        return tuple(coerced(getattr(each, "__origin__", each), entry) for entry in value)
    if isinstance(value, bool):
        return value
    if kind is bool and isinstance(value, str):
        return _TRUTHS.get(value.lower(), value)
    if kind is str and isinstance(value, int | float):
        return str(value)
    if kind in (int, float) and isinstance(value, str):
        return _number(kind, value)
    return float(value) if kind is float and isinstance(value, int) else value


def _number(kind: type[int] | type[float], text: str) -> int | float | str:
    try:
        return kind(text)
    except ValueError:
        return text


def _first(values: Mapping[str, object], *keys: str) -> object:
    return next((values[key] for key in keys if values.get(key) is not None), None)


def _unknown_keys(name: str, given: Mapping[str, object]) -> list[Problem]:
    problems = []
    for key in given:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            fix = f"did you mean {PREFIX}{near[0]}?" if near else f"known keys: {', '.join(PREFIX + k for k in KEYS)}"
            problems.append(Problem(name, f"{name}: unknown key {PREFIX}{key}", fix))
    return problems


def _templated(name: str, given: Mapping[str, object]) -> list[Problem]:
    return [
        Problem(name, f"{name}: {PREFIX}{key} holds a template: {value}", _TEMPLATE_FIX)
        for key, value in given.items()
        if key in KEYS and _TEMPLATE.search(str(value))
    ]


def _typed(given: Mapping[str, object], folder: Path, connection: Connection) -> dict[str, object]:
    """The known keys in their types. Relative paths of the controller start at the inventory's folder; ~ of
    fleet_home is expanded only where the host is this machine."""
    fields = HostIntent.model_fields
    known = {key: value for key, value in given.items() if key in KEYS and value is not None}
    values = {key: coerced(fields[key].annotation, value) for key, value in known.items()}
    if values.get("accelerator") == "cpu":
        values.setdefault("hardware", "cpu")
    home = values.get("home")
    if isinstance(home, str):
        values["home"] = str(Path(home).expanduser() if connection.kind == "local" else PurePosixPath(home))
    for name in ("engine_requirements", "ca_bundle", "wheels", "models"):
        if isinstance(path := values.get(name), str):
            values[name] = _on_controller(folder, path)
    if isinstance(paths := values.get("repository_keys"), dict):
        values["repository_keys"] = {name: _on_controller(folder, str(path)) for name, path in paths.items()}
    return values


def _on_controller(folder: Path, path: str) -> str:
    return str((folder / Path(path).expanduser()).absolute())


def _home_problems(intent: HostIntent) -> list[Problem]:
    said = f"{intent.name}: fleet_home is '{intent.home}'"
    if not intent.home.startswith("/"):
        fix = "write the whole path, such as /opt/devstral-fleet; ~ works for ansible_connection: local only"
        return [Problem(intent.name, f"{said}, expected an absolute path", fix)]
    if ".." in PurePosixPath(intent.home).parts or not _SAFE_PATH.match(intent.home):
        fix = "use a directory of its own whose name has only letters, digits and . _ / + @ -"
        return [Problem(intent.name, f"{said}, which cannot be used", fix)]
    return []


def _sentence(name: str, detail: ErrorDetails, *, prefix: str = PREFIX) -> Problem:
    """Turn one of pydantic's errors into a sentence that names key, value and what was expected."""
    kind = detail["type"]
    key = prefix + ".".join(str(part) for part in detail["loc"])
    if kind == "missing":
        return Problem(name, f"{name}: {key} is missing", f"add {key} to the host or to one of its groups")
    root = kind.split("_")[0]
    expected = _EXPECTED.get(root) if kind.endswith(("_type", "_parsing")) else None
    expected = expected or re.sub(r"^Input should be ", "", detail["msg"]).replace("'", "")
    remedy = _REMEDY.get(root, f"correct {key}") if kind.endswith("_type") else f"correct {key}"
    return Problem(name, f"{name}: {key} is {_shown(detail['input'])}, expected {expected}", remedy)


def _shown(value: object) -> str:
    return f"'{value}' (text)" if isinstance(value, str) else str(value)
