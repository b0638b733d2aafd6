"""Plan → role variables: the only bridge to Ansible.

One dict a role, named like the role, with the keys of playbooks/roles/<role>/meta/argument_specs.yml; a contract test
compares them. They reach Ansible as a second inventory, so that a run can be repeated by hand without Python.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from devstral_fleet import container, converged, launch_start, weights
from devstral_fleet.image_site import BuildSite
from devstral_fleet.image_spec import ImageSpec
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan, EngineEnvironment, ImageChoice
from devstral_fleet.releases import KEPT_RELEASES

RoleVariables = dict[str, dict[str, object]]
ServiceManager = Literal["systemd", "supervisor"]
GROUP = "planned"
"""Group of the second inventory that every playbook works on."""
TIME_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class SiteWheels:
    """The folder of wheels that environments are made from; '' where pip's own configuration says what is asked."""

    folder: str = ""
    is_on_host: bool = False
    """Whether the host is the controller, so that it need not be copied."""


@dataclass(frozen=True)
class _Context:
    release_id: str
    previous_id: str
    run_id: str
    service_manager: ServiceManager
    requirements_path: str
    supervisor_version: str
    python: str
    guarded: bool
    image_source: str
    wheels: SiteWheels
    playbooks_digest: str
    audit: Mapping[str, object]


def manager_for(process_1: str, user: str, *, become: bool) -> ServiceManager:
    """Return who keeps the engine: systemd where it is process 1 and we may tell it so, else our own supervisord."""
    return "systemd" if process_1 == "systemd" and (user == "root" or become) else "supervisor"


def role_variables(
    plan: DeploymentPlan,
    *,
    release_id: str,
    previous_id: str,
    run_id: str,
    service_manager: ServiceManager,
    requirements_path: str,
    supervisor_version: str,
    python: str = "python3",
    guarded: bool = True,
    image_source: str = "",
    wheels: SiteWheels = SiteWheels(),
    playbooks_digest: str = "",
    audit: Mapping[str, object] | None = None,
) -> RoleVariables:
    """Return {role: its variables} for one host: engine_environment on the native runtime, image on the other.

    Args:
        release_id: the release to serve, new or on the host already (`<UTC time>-<plan digest>`).
        previous_id: the proven release that the guard returns to when the controller dies, '' for none.
        run_id: the run that holds the deploy lock.
        service_manager: who keeps the engine there (`manager_for`).
        requirements_path: file on the controller that pins the engine environment.
        supervisor_version: the catalog's version of supervisord.
        python: interpreter on the host (`HostIntent.python`).
        guarded: whether a guard watches over the switch; a rollback arms none.
        image_source: what the host's Docker pulls to get the plan's image, '' where the image's own name does.
        wheels: what environments are made from.
        playbooks_digest: digest of the playbooks' files: a host that other ones left is not converged.
        audit: line for the host's audit log, None for none.
    """
    context = _Context(
        release_id=release_id,
        previous_id=previous_id,
        run_id=run_id,
        service_manager=service_manager,
        requirements_path=requirements_path,
        supervisor_version=supervisor_version,
        python=python,
        guarded=guarded,
        image_source=image_source,
        wheels=wheels,
        playbooks_digest=playbooks_digest,
        audit=audit or {},
    )
    roles = {**_runtime(plan, context), **_roles(plan, context)}
    return {**roles, "converged": _converged(plan, context, roles)}


def image_build(
    spec: ImageSpec, site: BuildSite, *, context: str, copied_to: str, log: str, python: str
) -> RoleVariables:
    """Return the variables of the role that builds an image.

    Args:
        context: tar of the build on this machine. copied_to: where it goes on a host that builds, '' where this does.
        log: file on the machine that builds, '' for none. python: interpreter there.
    """
    values = {name: f"{{{{ lookup('ansible.builtin.env', '{name}') }}}}" for name in site.proxies if copied_to}
    mirror = {"APT_MIRROR": site.apt_mirror} if site.apt_mirror else {}
    variables: dict[str, object] = {
        "python": python,
        "reference": spec.reference,
        "context": context,
        "copied_to": copied_to,
        "arguments": {**spec.arguments(), **mirror},
        "labels": spec.labels(),
        "proxies": list(site.proxies),
        "environment": values,
        "log": log,
    }
    return {"image_build": variables}


def inventory_files(hosts: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Return {file name: text} of the second inventory: the planned hosts and one file of variables for each."""
    names: dict[str, dict[str, object]] = {name: {} for name in hosts}
    inventory = {"all": {"children": {GROUP: {"hosts": names}}}}
    return {
        "hosts.json": json.dumps(inventory, indent=2) + "\n",
        **{f"host_vars/{name}.json": json.dumps(roles, indent=2) + "\n" for name, roles in hosts.items()},
    }


def _runtime(plan: DeploymentPlan, context: _Context) -> RoleVariables:
    """Return the role that brings what the engine runs in."""
    if plan.image is not None:
        return {"image": _image(plan.image, context)}
    if plan.engine_environment is not None:
        environment = plan.engine_environment
        layout = HostLayout.of(plan.home)
        return {"engine_environment": _engine_environment(layout, plan, environment, context)}
    return {}


def _roles(plan: DeploymentPlan, context: _Context) -> RoleVariables:
    layout = HostLayout.of(plan.home)
    return {
        "host_layout": _host_layout(layout, plan, context),
        "model_files": _model_files(layout, plan, context),
        "release": _release(layout, plan, context),
        "service": _service(layout, plan, context),
        "confirm": _confirm(layout, context),
        "audit": {"file": str(layout.audit), "entry": dict(context.audit)},
    }


def _host_layout(layout: HostLayout, plan: DeploymentPlan, context: _Context) -> dict[str, object]:
    directories = (layout.environments, layout.models, layout.releases, layout.supervisor, layout.log.parent)
    return {
        "python": context.python,
        "home": str(layout.home),
        "directories": [str(path) for path in (*directories, layout.jobs)],
        "cache": "" if plan.image is None else str(layout.cache),
        "engine_user": 0 if plan.image is None else container.IMAGE_USER,
    }


def _image(image: ImageChoice, context: _Context) -> dict[str, object]:
    return {"python": context.python, "reference": image.reference, "source": context.image_source or image.reference}


def _engine_environment(
    layout: HostLayout, plan: DeploymentPlan, environment: EngineEnvironment, context: _Context
) -> dict[str, object]:
    return {
        "python": context.python,
        "directory": str(layout.environment(environment.digest)),
        "requirements": context.requirements_path,
        "wheels": _wheels(layout, context),
        "wheels_source": "" if context.wheels.is_on_host else context.wheels.folder,
        "torch": environment.torch,
        "torch_index": environment.torch_index,
        "torch_of_host": environment.is_torch_of_host,
        "transformers_minimum": plan.transformers_minimum,
        "shims": plan.accelerator == "cpu" and environment.torch != "" and not environment.is_torch_of_host,
    }


def _wheels(layout: HostLayout, context: _Context) -> str:
    """Where the site's wheels lie on the host, '' where there are none."""
    found = context.wheels
    return found.folder if found.is_on_host or not found.folder else str(layout.wheels)


def _model_files(layout: HostLayout, plan: DeploymentPlan, context: _Context) -> dict[str, object]:
    weightless = plan.files.source == "weightless"
    return {
        "python": _engine_python(layout, plan.engine_environment) if weightless else context.python,
        "source": plan.files.source,
        "repository": plan.files.repository,
        "revision": plan.files.revision or "",
        "directory": str(layout.model(plan.files.directory)),
        "marker": weights.marker(plan.files),
        "brought": bool(plan.files.digest),
        "recipe": dict(plan.files.recipe),
    }


def _release(layout: HostLayout, plan: DeploymentPlan, context: _Context) -> dict[str, object]:
    return {
        "directory": str(layout.release(context.release_id)),
        "python": context.python,
        "start": launch_start.start(plan, context.release_id),
        "manifest": {
            "id": context.release_id,
            "digest": plan.digest,
            "created": _created(context.release_id),
            "model": plan.model,
            "plan": plan.model_dump(mode="json"),
        },
    }


def _converged(plan: DeploymentPlan, context: _Context, roles: RoleVariables) -> dict[str, object]:
    layout = HostLayout.of(plan.home)
    by_systemd = context.service_manager == "systemd"
    return {
        "python": context.python,
        "file": str(layout.converged(context.release_id)),
        "inputs": converged.inputs_digest(roles, context.playbooks_digest),
        "paths": converged.paths(plan, context.release_id, by_systemd=by_systemd),
    }


def _confirm(layout: HostLayout, context: _Context) -> dict[str, object]:
    return {
        "python": context.python,
        "home": str(layout.home),
        "release": context.release_id,
        "keep": KEPT_RELEASES,
    }


def _service(layout: HostLayout, plan: DeploymentPlan, context: _Context) -> dict[str, object]:
    return {
        "python": context.python,
        "manager": context.service_manager,
        "unit": layout.unit,
        "container": "" if plan.image is None else layout.container,
        "home": str(layout.home),
        "log": str(layout.log),
        "release": context.release_id,
        "drain_s": plan.drain_deadline_s,
        "guard": str(layout.guard),
        "guarded": context.guarded,
        "return_to": context.previous_id,
        "run": context.run_id,
        "supervisor": {
            "directory": str(layout.supervisor),
            "version": context.supervisor_version,
            "pip_python": _engine_python(layout, plan.engine_environment),
            "wheels": _wheels(layout, context),
        },
    }


def _engine_python(layout: HostLayout, environment: EngineEnvironment | None) -> str:
    return str(layout.environment(environment.digest) / "bin" / "python") if environment else ""


def _created(release: str) -> str:
    """Return the time in a release id as ISO 8601: equal ids write equal files, whenever the deploy is repeated.

    '' for what is no release id; stopping a host that serves nothing names none.
    """
    try:
        stamp = datetime.strptime(release.partition("-")[0], TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return ""
    return stamp.strftime("%Y-%m-%dT%H:%M:%SZ")
