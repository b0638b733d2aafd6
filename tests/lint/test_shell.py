"""Shell scripts, by extension or by first line."""

from pathlib import Path

from tests.support.tree import clean, files, program

SHELLS = ("sh", "bash", "dash")


def is_shell(path: Path) -> bool:
    """Whether shellcheck reads this file: *.sh, or a first line that names a shell. Templates are not shell yet."""
    if path.suffix == ".j2":
        return False
    if path.suffix == ".sh":
        return True
    with path.open("rb") as file:
        first = file.readline(80)
    words = first.removeprefix(b"#!").decode(errors="replace").replace("/", " ").split()
    return first.startswith(b"#!") and any(word in SHELLS for word in words)


def test_shellcheck_finds_nothing() -> None:
    scripts = [str(path) for path in files() if is_shell(path)]
    assert any(script.endswith(".ci/run") for script in scripts), "the search for shell scripts finds nothing"
    clean(program("shellcheck"), "--external-sources", "--severity=style", *scripts)
