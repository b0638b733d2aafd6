"""doctor --acceptance: are a host's GPUs as fast as their kind, before anything is served from them?"""

from devstral_fleet import catalog as catalogs
from devstral_fleet import checks_diagnostics, checks_start, project
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode, VerificationError
from devstral_fleet.facts import AllReduceFacts
from devstral_fleet.findings import Finding
from devstral_fleet.probes import diagnostics, gpu_start
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import looking, weights
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, targets
from devstral_fleet.workflows.rollout import everywhere
from devstral_fleet.workflows.running import Run

LEVELS: dict[str, diagnostics.Level | None] = {"quick": None, "full": "full", "burn-in": "burn-in"}
"""`quick`: seconds; host memory to each GPU and back, and an all-reduce over all of them. The others go on with the
vendor's diagnostics: `full` a quarter of an hour, `burn-in` hours."""


def accept(console: Console, ask: Ask, level: str, *, lock_wait_s: int) -> ExitCode:
    """Measure every host that was named, at the same time; exit code 5 where one is slower than its kind.

    Raises:
        ConfigurationError: there is no such level, or a host has no GPU.
    """
    if level not in LEVELS:
        raise ConfigurationError(f"--acceptance '{level}': there is no such level", fix=f"known: {', '.join(LEVELS)}")
    found = targets(ask)
    bare = [target.name for target in found if target.plan.accelerator == "cpu"]
    if bare:
        raise ConfigurationError(f"{', '.join(bare)}: there is no GPU to measure", fix="leave these hosts out")
    with Run(console, RunDirectory.create(project.runs(), "acceptance"), "acceptance", ask) as run:
        everywhere(run, found, lambda host: accept_host(host, run.directory.id, lock_wait_s, LEVELS[level]))
    return run.exit_code


def accept_host(host: Host, run_id: str, lock_wait_s: int, level: diagnostics.Level | None = None) -> None:
    """Measure one host under its lock, while no model is loaded there.

    Raises:
        VerificationError: an engine or another program has its GPUs, they do not start, or they are too slow.
    """
    looking.require_real(host)
    plan = host.plan
    with host.locked(run_id, "acceptance", lock_wait_s):
        image = host.engine_image(host.docker())
        host.record.require("findings_before", looking.gpu_findings(host, image), "the GPUs cannot be measured")
        _require_idle(host)
        with host.record.phase("acceptance"):
            seen = gpu_start.read(host.shell, plan, image, host.target.intent.python, measured=True)
            together = _together(host, image) if len(plan.gpus) > 1 else None
        found = tuple(checks_start.acceptance(plan, catalogs.load().gpu(plan.hardware), seen, together))
        if level:
            with host.record.phase("diagnostics"):
                found += _diagnosed(host, level)
    for finding in found:
        host.record.console.host(host.name, finding.summary)
    if level:  # what the load has left behind: memory errors, a clock that heat holds down, an Xid in the log
        found += looking.gpu_findings(host, image)
    host.record.require("findings_after", found, "the GPUs are not what they should be")
    host.record.outcome = "measured"


def _together(host: Host, image: str) -> AllReduceFacts | None:
    """Measure the GPUs together by the engine's own PyTorch; None where neither image nor environment is there yet."""
    if image:
        return gpu_start.all_reduce(host.shell, host.plan, image)
    if host.plan.image is None and weights.has_client(host):
        (python,) = host.python()
        return gpu_start.all_reduce(host.shell, host.plan, "", python)
    return None


def _diagnosed(host: Host, level: diagnostics.Level) -> tuple[Finding, ...]:
    plan = host.plan
    tool, limit_s = diagnostics.TOOLS[plan.accelerator], diagnostics.LIMIT_S[level]
    host.record.console.host(host.name, f"{tool} tests all GPUs, at most {limit_s / 3600:g} h")
    found = checks_diagnostics.diagnostics(plan, diagnostics.read(host.shell, plan.accelerator, level))
    if plan.accelerator != "amd" or len(plan.gpus) == 1:
        return (found,)
    gpu, average = catalogs.load().gpu(plan.hardware), diagnostics.all_to_all(host.shell)
    return (found, checks_diagnostics.all_to_all(plan, gpu, average))


def _require_idle(host: Host) -> None:
    if host.service().begun:
        raise VerificationError(
            f"{host.name}: a model is loaded there, and would be measured along",
            fix=f".venv/bin/invoke stop --host {host.name}",
            host=host.name,
        )
    gpus = [gpu for gpu in host.record.known["gpus"].gpus if gpu.index in host.plan.gpus]
    programs = [process for gpu in gpus for process in gpu.processes if process.kind != "G"]
    if programs:
        raise VerificationError(
            f"{host.name}: {programs[0].name} (pid {programs[0].pid}) has a GPU, and would be measured along",
            fix="end it, or wait for it",
            host=host.name,
        )
