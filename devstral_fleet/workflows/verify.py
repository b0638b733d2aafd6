"""verify: is what serves what was planned, and does it answer as a model must? Nothing is changed."""

from devstral_fleet import project
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.smoke import checks_of, conformance, tool_cases
from devstral_fleet.workflows import looking, proving
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, targets
from devstral_fleet.workflows.rollout import everywhere
from devstral_fleet.workflows.running import Run


def verify(console: Console, ask: Ask, *, tools: bool = False) -> ExitCode:
    """Compare and ask on every host that was named, at the same time; one that fails leaves the others alone.

    Args:
        tools: ask every case of tool calling too.
    """
    found = targets(ask)
    with Run(console, RunDirectory.create(project.runs(), "verify"), "verify", ask) as run:
        everywhere(run, found, lambda host: verify_host(host, tools=tools))
    return run.exit_code


def verify_host(host: Host, *, tools: bool) -> None:
    """Compare one host's engine with its plan and run the smoke checks."""
    usual = checks_of(host.plan)
    asked = {**usual, **(conformance.checks(host.plan) if tools else {})}
    left_out = len(tool_cases.load().cases) + len(usual) - len(asked) if tools else 0
    looking.facts_of(host)
    with host.record.phase("smoke"):
        proving.compare(host, host.require_serving())
        proving.ask(host, asked)
    if left_out:
        said = f"{left_out} cases of tool calling need trained weights, and were not asked"
        host.record.console.host(host.name, said)
    host.record.outcome = "verified"
