"""A plan as the file that a release is started by: `releases/<id>/start`, a POSIX script. No secret is in it.

It becomes the engine, or the `docker run` that stays in front of it: either way the service manager sees the process
that it keeps, its exit status and its output.
"""

import shlex

from devstral_fleet import container, launch_docker
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.words import NEXT_LINE, lines

LOGGING_FILE = "/run/devstral-fleet/logging.json"
"""Where the container finds the release's logging.json."""
LOGGING_VARIABLE = "SGLANG_LOGGING_CONFIG_PATH"
DOCKER_S = 60
"""How long a start waits for Docker, which a reboot or an update may bring up after us."""
_WHY = "SGLang logs all its arguments at start, the API key among them; logging.json leaves that one logger out."


def start(plan: DeploymentPlan, release_id: str) -> str:
    """Return the script's text."""
    release = HostLayout.of(plan.home).release(release_id)
    return "\n".join(
        [
            "#!/bin/sh",
            f"# Made by Devstral Fleet for release {release_id}. The service runs this file.",
            "set -eu",
            f"cd {shlex.quote(str(release))}",
            *(_native(plan, release_id) if plan.image is None else _container(plan, release_id)),
            "",
        ]
    )


def _native(plan: DeploymentPlan, release_id: str) -> list[str]:
    layout = HostLayout.of(plan.home)
    digest = plan.engine_environment.digest if plan.engine_environment else ""
    python = layout.environment(digest) / "bin" / "python"
    words = (*map(shlex.quote, plan.arguments), f"--config {shlex.quote(str(layout.secrets / 'engine.yml'))}")
    return [
        f"# {_WHY}",
        f"export {LOGGING_VARIABLE}={shlex.quote(str(layout.release(release_id) / 'logging.json'))}",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(plan.environment.items())),
        NEXT_LINE.join((f"exec {shlex.quote(str(python))} -m sglang.launch_server", *words)),
    ]


def _container(plan: DeploymentPlan, release_id: str) -> list[str]:
    layout = HostLayout.of(plan.home)
    options = launch_docker.options(plan, name=layout.container, kept=False)
    words = (container.image(plan, "start"), *container.words(plan))
    return [
        "tries=0",
        "until docker version >/dev/null 2>&1; do",
        "    tries=$((tries + 1))",
        f'    if [ "$tries" -ge {DOCKER_S} ]; then echo "Docker does not answer" >&2; exit 1; fi',
        "    sleep 1",
        "done",
        "# One whose `docker run` was killed still holds GPU and port.",
        f"docker container rm --force {layout.container} >/dev/null 2>&1 || true",
        f"# {_WHY}",
        NEXT_LINE.join(("exec docker run --rm", *options, *_own(layout, release_id), lines(words))),
    ]


def _own(layout: HostLayout, release_id: str) -> list[str]:
    """Return the options that only a release has: its logging.json, and where benchmarks write."""
    mounts = (
        f"type=bind,source={layout.release(release_id) / 'logging.json'},target={LOGGING_FILE},readonly",
        f"type=bind,source={layout.jobs},target={layout.jobs}",
    )
    return [*(f"--mount {shlex.quote(mount)}" for mount in mounts), f"--env {LOGGING_VARIABLE}={LOGGING_FILE}"]
