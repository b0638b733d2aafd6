"""Is a host still as the last deploy of a release left it? The role's own script compares it with its record."""

from devstral_fleet import project
from devstral_fleet.probes import output
from devstral_fleet.shell import Shell

SCRIPT = project.PLAYBOOKS / "roles" / "converged" / "files" / "converged.py"


def command(python: str, file: str, inputs: str, pid: int) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return [python, "-", "compare", file, inputs, str(pid)]


def read(shell: Shell, python: str, file: str, inputs: str, pid: int) -> tuple[str, ...]:
    """Return one sentence for each difference; none for a host that needs no playbook.

    Args:
        file: the record. inputs: digest of what the playbook would be given now. pid: the engine's main process.

    Raises:
        ProbeError: the script failed.
    """
    text = output.run(shell, "converged", command(python, file, inputs, pid), stdin=SCRIPT.read_text())
    return tuple(text.splitlines())
