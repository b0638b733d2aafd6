"""verify: is what serves what was planned, and does it answer as a model must? Nothing is changed."""

from devstral_fleet import project
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import proving
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, targets
from devstral_fleet.workflows.rollout import everywhere
from devstral_fleet.workflows.running import Run


def verify(console: Console, ask: Ask) -> ExitCode:
    """Compare and ask on every host that was named, at the same time; one that fails leaves the others alone."""
    found = targets(ask)
    with Run(console, RunDirectory.create(project.runs(), "verify"), "verify", ask) as run:
        everywhere(run, found, verify_host)
    return run.exit_code


def verify_host(host: Host) -> None:
    """Compare one host's engine with its plan and run the smoke checks."""
    with host.record.phase("smoke"):
        proving.compare(host, host.require_serving())
        proving.ask(host)
    host.record.outcome = "verified"
