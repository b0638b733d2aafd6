"""The errors this project raises, and the exit code each one ends with.

An error says what, where and what to do. It is raised with a sentence, caught once (in `devstral_fleet.cli`),
and printed by `devstral_fleet.console`.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every verb. Source: docs/operations.md, which a contract test compares with this table."""

    OK = 0
    BUG = 1
    CONFIGURATION = 2
    UNREACHABLE = 3
    PLAYBOOK = 4
    VERIFICATION = 5
    PERFORMANCE = 6
    LOCKED = 7
    INTERRUPTED = 130


SEVERITY = (
    ExitCode.OK,
    ExitCode.PERFORMANCE,
    ExitCode.VERIFICATION,
    ExitCode.LOCKED,
    ExitCode.UNREACHABLE,
    ExitCode.PLAYBOOK,
    ExitCode.CONFIGURATION,
    ExitCode.BUG,
    ExitCode.INTERRUPTED,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the most severe of `codes` (OK for none), as a run over several hosts must."""
    return max(codes, key=SEVERITY.index, default=ExitCode.OK)


class FleetError(Exception):
    """Root of every expected error: a sentence, the fix, and the evidence behind it.

    Args:
        message: what went wrong and where, one sentence.
        fix: what to do next; commands are paste-ready.
        evidence: lines that show it (log lines, command output), already free of secrets.
        host: the inventory host it happened on, or "" when it concerns no single host.
    """

    code = ExitCode.BUG

    def __init__(self, message: str, *, fix: str = "", evidence: Sequence[str] = (), host: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.evidence = tuple(evidence)
        self.host = host


class ConfigurationError(FleetError):
    """What the operator asked for cannot be: bad option, bad file, missing program on the controller."""

    code = ExitCode.CONFIGURATION


class HookError(ConfigurationError):
    """A site's own program on the controller refused, failed or took too long."""


class CatalogError(ConfigurationError):
    """A catalog file breaks its schema; the message names file and key."""


class InventoryError(ConfigurationError):
    """The inventory cannot be read, or names a host, group or key that is not known."""


class PlanError(ConfigurationError):
    """No plan serves what was asked.

    Args:
        problems: every problem of every host, each a sentence with its fix; shown as evidence.
    """

    def __init__(self, problems: Sequence[str], *, fix: str = "", host: str = "") -> None:
        count = len(problems)
        message = problems[0] if count == 1 else f"{count} problems stand against this plan"
        super().__init__(message, fix=fix, evidence=problems if count > 1 else (), host=host)
        self.problems = tuple(problems)


class DependencyError(ConfigurationError):
    """A program the controller needs is missing; the fix names the package."""


class UnreachableError(FleetError):
    """A host does not answer, or its host key is not the known one."""

    code = ExitCode.UNREACHABLE


class PlaybookError(FleetError):
    """Ansible failed a task on a host.

    Args:
        task: name of the failed task. reason: Ansible's message, free of secrets.
    """

    code = ExitCode.PLAYBOOK

    def __init__(self, *, host: str, task: str, reason: str, fix: str = "", evidence: Sequence[str] = ()) -> None:
        super().__init__(f"{host}: task '{task}' failed: {reason}", fix=fix, evidence=evidence, host=host)
        self.task = task
        self.reason = reason


class ImageError(FleetError):
    """An image could not be built, found or brought to a host."""

    code = ExitCode.PLAYBOOK


class WeightsError(FleetError):
    """A model's files could not be brought to a host."""

    code = ExitCode.PLAYBOOK


class VerificationError(FleetError):
    """What runs is not what was planned, or it does not answer as a served model must."""

    code = ExitCode.VERIFICATION


class ProbeError(VerificationError):
    """A probe's command failed or printed what its parser does not know; a probe that could not run is no pass."""


class PerformanceError(FleetError):
    """The model serves, and is slower, or answers worse, than its baseline allows."""

    code = ExitCode.PERFORMANCE


class LockedError(FleetError):
    """Another run holds the host's deploy lock."""

    code = ExitCode.LOCKED
