"""What a deploy's playbook makes on a host, so that a host that is still as it was left needs no playbook (pure).

The role `converged` records it at the end of deploy.yml; `probes.converged` compares the host with the record.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath

from devstral_fleet import weights
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan

OF_ONE_RUN: Mapping[str, tuple[str, ...]] = {
    "audit": ("entry",),
    "engine_environment": ("requirements",),
    "image": ("source",),
    "service": ("guarded", "return_to", "run"),
}
"""Role variables that say something of the run or the controller, not of the host."""
UNITS = PurePosixPath("/etc/systemd/system")
LOGROTATE = PurePosixPath("/etc/logrotate.d")


def inputs_digest(roles: Mapping[str, Mapping[str, object]], playbooks_digest: str) -> str:
    """Return the SHA-256 of what decides how a playbook leaves a host: its files and its role variables."""
    lasting = {
        role: {name: value for name, value in variables.items() if name not in OF_ONE_RUN.get(role, ())}
        for role, variables in roles.items()
    }
    text = json.dumps([playbooks_digest, lasting], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def paths(plan: DeploymentPlan, release_id: str, *, by_systemd: bool) -> list[str]:
    """Return the files, directories and links that deploy.yml makes; of a large tree its marker alone."""
    layout = HostLayout.of(plan.home)
    release, model = layout.release(release_id), layout.model(plan.files.directory)
    found = [
        *(layout.home, layout.environments, layout.models, layout.releases, layout.log.parent, layout.jobs),
        *(layout.secrets, *(layout.secrets / name for name in ("api.key", "engine.yml", "auth.header"))),
        *(release, *(release / name for name in ("start", "logging.json", "release.json"))),
        *(layout.serving, model / weights.marker(plan.files)),
        *_runtime(layout, plan),
        *(_unit(layout) if by_systemd else _supervisor(layout)),
    ]
    return [str(path) for path in found]


def _runtime(layout: HostLayout, plan: DeploymentPlan) -> tuple[PurePosixPath, ...]:
    """Paths of the runtime: an image is asked for by the Docker probe."""
    environment = plan.engine_environment
    return (layout.environment(environment.digest) / ".complete",) if environment else (layout.cache,)


def _unit(layout: HostLayout) -> tuple[PurePosixPath, ...]:
    wanted = UNITS / "multi-user.target.wants" / layout.unit
    return (UNITS / layout.unit, wanted, LOGROTATE / layout.unit.removesuffix(".service"))


def _supervisor(layout: HostLayout) -> tuple[PurePosixPath, ...]:
    return (
        layout.supervisor,
        layout.supervisor / "supervisord.conf",
        layout.supervisor / "venv" / "bin" / "supervisord",
    )
