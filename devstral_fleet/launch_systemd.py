"""A plan as a systemd unit: the engine itself on the native runtime, else docker in the foreground."""

import shlex

from devstral_fleet import container, launch_docker
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan

RESTART_AFTER_S = 5
MARGIN_S = 30
"""What systemd waits beyond the grace that docker gives."""


def write(plan: DeploymentPlan) -> str:
    """Return the unit's text; `systemd-analyze verify` accepts it where its programs exist."""
    sections = {"Unit": _unit(plan), "Service": _service(plan), "Install": [("WantedBy", "multi-user.target")]}
    return container.key_comment(plan) + "\n".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in entries) for name, entries in sections.items()
    )


def _unit(plan: DeploymentPlan) -> list[tuple[str, str]]:
    needs = [] if plan.image is None else [("Requires", "docker.service"), ("After", "docker.service")]
    return [
        ("Description", f"SGLang engine: {plan.served_model_name}"),
        ("Wants", "network-online.target"),
        ("After", "network-online.target"),
        *needs,
        ("StartLimitIntervalSec", "0"),
    ]


def _service(plan: DeploymentPlan) -> list[tuple[str, str]]:
    start = _native(plan) if plan.image is None else _container(plan)
    return [
        ("Type", "exec"),
        *start,
        ("Restart", "always"),
        ("RestartSec", str(RESTART_AFTER_S)),
        ("TimeoutStopSec", str(plan.drain_deadline_s + MARGIN_S)),
        ("LimitMEMLOCK", "infinity"),
    ]


def _native(plan: DeploymentPlan) -> list[tuple[str, str]]:
    layout = HostLayout.of(plan.home)
    digest = plan.engine_environment.digest if plan.engine_environment else ""
    words = (
        str(layout.environment(digest) / "bin" / "python"),
        *("-m", "sglang.launch_server", *plan.arguments),
        *("--config", str(layout.secrets / "engine.yml")),
    )
    variables = [("Environment", _quoted(f"{key}={value}")) for key, value in plan.environment.items()]
    return [*variables, ("ExecStart", " ".join(map(_word, words))), ("KillMode", "mixed")]


def _container(plan: DeploymentPlan) -> list[tuple[str, str]]:
    """A shell starts docker: it alone can ask for the number of the host's render group."""
    options = " ".join(launch_docker.options(plan, name=container.name(plan), kept=False))
    image = shlex.join((container.image(plan, "systemd"), *container.words(plan)))
    line = f"exec docker run --rm {options} {image}"
    stop = f"docker stop --time {plan.drain_deadline_s} {shlex.quote(container.name(plan))}"
    remove = f"docker rm --force {shlex.quote(container.name(plan))}"
    return [
        ("ExecStartPre", f"-/bin/sh -c {_word(remove)}"),
        ("ExecStart", f"/bin/sh -c {_word(line)}"),
        ("ExecStop", f"/bin/sh -c {_word(stop)}"),
    ]


def _word(text: str) -> str:
    """Quote one word of a command line: systemd reads specifiers (%), variables ($) and C escapes."""
    return _quoted(text.replace("$", "$$"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if escaped and not set(escaped) & set(" \t'\";\\") else f'"{escaped}"'
