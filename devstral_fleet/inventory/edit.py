"""Write a new host into an inventory file as text, so that comments and order stay."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from devstral_fleet.errors import ConfigurationError, InventoryError
from devstral_fleet.inventory.listing import check_yaml

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")


def require_new(path: Path, name: str) -> None:
    """Raise InventoryError where the file at `path` has a host of that name already."""
    _refuse_taken(_root(path.read_text(), path) if path.exists() else None, name, path)


def add_host(
    path: Path,
    name: str,
    *,
    address: str,
    user: str | None,
    port: int,
    accelerator: str,
    hardware: str | None,
    gpu_count: int,
    model: str | None,
    group: str | None = None,
) -> str:
    """Write the host into the YAML file at `path` (made where there is none) and return the lines that were added.

    It goes under `hosts:` of `group`, or of `all`. What is None or Ansible's default is left out.

    Raises:
        ConfigurationError: the name is no host name, or the file is not YAML.
        InventoryError: the host is there already, or the file's shape leaves no place for it.
    """
    for word in (name, group or "all"):
        if not _NAME.match(word):
            raise ConfigurationError(f"'{word}' is no name", fix="use letters, digits, dots, dashes and underscores")
    if path.suffix not in (".yml", ".yaml"):
        raise ConfigurationError(
            f"{path} is not a YAML inventory", fix=f"add '{name}' to it by hand, or name a .yml file"
        )
    values = {
        "ansible_host": address,
        "ansible_port": port if port != 22 else None,
        "ansible_user": user,
        "fleet_accelerator": accelerator,
        "fleet_hardware": hardware,
        "fleet_gpu_count": gpu_count,
        "fleet_model": model,
    }
    text, added = with_host(
        path.read_text() if path.exists() else "", name, {k: v for k, v in values.items() if v is not None}, group, path
    )
    _replace(path, text)
    return added


def with_host(text: str, name: str, values: Mapping[str, object], group: str | None, path: Path) -> tuple[str, str]:
    """Return the file's new text and the lines that were added to it (pure but for messages naming `path`)."""
    root = _root(text, path)
    _refuse_taken(root, name, path)
    keys = _keys(root, group)
    node, depth, column = root, 0, 0
    while node is not None and depth < len(keys) and (child := _child(node, keys[depth], path)) is not None:
        node, column, depth = child, child.start_mark.column, depth + 1
    if depth < len(keys) and root is not None:
        depth, after, column = _open_key(root, keys, depth, column)
    else:
        after = _last_line(node) if node is not None else len(text.splitlines())
    added = _lines([*keys[depth:], name], values, column)
    lines = text.splitlines()
    new = "\n".join([*lines[:after], *added, *lines[after:]]) + "\n"
    _confirm(new, name, path)
    return new, "\n".join(added) + "\n"


def _refuse_taken(root: yaml.MappingNode | None, name: str, path: Path) -> None:
    if root is not None and name in _hosts(root):
        raise InventoryError(
            f"{path} has a host '{name}' already",
            fix=f"edit its lines there, or choose another name; its key: .venv/bin/invoke init --host {name}",
            host=name,
        )


def _root(text: str, path: Path) -> yaml.MappingNode | None:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        check_yaml(path)  # says file and line
        raise
    if root is None or isinstance(root, yaml.MappingNode):
        return root
    if isinstance(root, yaml.ScalarNode) and not root.value:
        return None  # nothing but '---'
    raise InventoryError(f"{path} is no inventory: its top level is not a mapping", fix=f"correct {path}")


def _keys(root: yaml.MappingNode | None, group: str | None) -> list[str]:
    top = {key.value for key, _ in root.value} if root is not None else set()
    if group is None or group == "all":
        return ["all", "hosts"]
    return [group, "hosts"] if group in top else ["all", "children", group, "hosts"]


def _child(node: yaml.MappingNode, key: str, path: Path) -> yaml.MappingNode | None:
    """The mapping below `key`; None where the key is missing or empty."""
    value = _value(node, key)
    if isinstance(value, yaml.MappingNode):
        if not value.flow_style:
            return value
        line = value.start_mark.line + 1
        raise InventoryError(
            f"{path}:{line}: '{key}' is written in braces, which cannot be added to",
            fix=f"write '{key}:' with one host a line, then run it again",
        )
    return None


def _value(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for name, value in node.value if name.value == key), None)


def _open_key(root: yaml.MappingNode, keys: Sequence[str], depth: int, column: int) -> tuple[int, int, int]:
    """Where new keys go: (keys that stand already, line after which, column of the first new one).

    A key that stands there without a value ('hosts:') gets its value; otherwise a missing key follows its siblings.
    """
    node = root
    for key in keys[:depth]:
        node = next(value for name, value in node.value if name.value == key)
    for name, value in node.value:
        if name.value == keys[depth] and isinstance(value, yaml.ScalarNode):
            return depth + 1, name.end_mark.line + 1, name.start_mark.column + 2
    return depth, _last_line(node), column


def _last_line(node: yaml.Node) -> int:
    """Number of lines up to and with the node's last one; the comments that follow it are not its own."""
    if isinstance(node, yaml.MappingNode | yaml.SequenceNode) and node.value and not node.flow_style:
        last = node.value[-1]
        key, value = last if isinstance(last, tuple) else (last, last)
        empty = isinstance(value, yaml.ScalarNode) and value.value == ""
        return _last_line(key if empty else value)
    end = node.end_mark
    return end.line + (1 if end.column else 0)


def _lines(keys: Sequence[str], values: Mapping[str, object], column: int) -> list[str]:
    lines = [f"{' ' * (column + 2 * depth)}{_scalar(key)}:" for depth, key in enumerate(keys)]
    indent = " " * (column + 2 * len(keys))
    return lines + [f"{indent}{key}: {_scalar(value)}" for key, value in values.items()]


def _scalar(value: object) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000)).removesuffix("\n").removesuffix("\n...")


def _hosts(node: yaml.Node) -> set[str]:
    """Every name below any key `hosts`."""
    if not isinstance(node, yaml.MappingNode):
        return set()
    found: set[str] = set()
    for key, value in node.value:
        if key.value == "hosts" and isinstance(value, yaml.MappingNode):
            found |= {name.value for name, _ in value.value}
        found |= _hosts(value)
    return found


def _confirm(text: str, name: str, path: Path) -> None:
    """The text was edited by lines: make sure that YAML sees the same before it replaces the file."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        root = None
    if root is None or name not in _hosts(root):
        raise InventoryError(f"{path} has a shape that a host cannot be added to", fix=f"add '{name}' by hand")


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.chmod(mode)
    partial.replace(path.resolve())
