"""Plan → role variables."""

import json
from pathlib import Path
from typing import Any

import pytest

from devstral_fleet import launch_start, rolevars
from devstral_fleet.container import IMAGE_USER
from devstral_fleet.plan import DeploymentPlan, EngineEnvironment, ImageChoice
from tests.support.plans import native_plan

RELEASE = "20260102T030405Z-0123456789ab"


@pytest.fixture
def plan(tmp_path: Path) -> DeploymentPlan:
    requirements = tmp_path / "engine.lock"
    requirements.write_text("sglang\n")
    return native_plan(Path("/opt/fleet"), requirements, 30000)


def variables(plan: DeploymentPlan, **changes: Any) -> rolevars.RoleVariables:
    known: dict[str, Any] = {
        "release_id": RELEASE,
        "previous_id": "",
        "run_id": "run-1",
        "service_manager": "systemd",
        "requirements_path": "/controller/engine.lock",
        "supervisor_version": "1",
    }
    return rolevars.role_variables(plan, **{**known, **changes})


def test_the_manifest_is_the_release_file_that_probes_read(plan: DeploymentPlan) -> None:
    assert variables(plan)["release"]["manifest"] == {
        "id": RELEASE,
        "digest": plan.digest,
        "created": "2026-01-02T03:04:05Z",
        "model": "devstral-tiny",
        "plan": plan.model_dump(mode="json"),
    }


def test_the_manifests_plan_is_the_plan(plan: DeploymentPlan) -> None:
    manifest = json.loads(json.dumps(variables(plan)["release"]))["manifest"]
    assert DeploymentPlan.model_validate_json(json.dumps(manifest["plan"])) == plan


def test_every_path_comes_from_the_layout(plan: DeploymentPlan) -> None:
    roles = variables(plan)
    assert roles["release"]["directory"] == f"/opt/fleet/releases/{RELEASE}"
    assert roles["release"]["start"] == launch_start.start(plan, RELEASE)
    assert roles["service"]["log"] == "/opt/fleet/log/engine.log"
    assert roles["audit"]["file"] == "/opt/fleet/audit.jsonl"


def test_shims_come_with_our_own_torch_on_a_cpu_alone(plan: DeploymentPlan) -> None:
    environment = EngineEnvironment(requirements="", digest="d", torch="torch==1+cpu", torch_index="i")
    ours = plan.model_copy(update={"engine_environment": environment})
    assert variables(ours)["engine_environment"]["shims"] is True
    assert variables(plan)["engine_environment"]["shims"] is False
    assert variables(ours.model_copy(update={"accelerator": "nvidia"}))["engine_environment"]["shims"] is False


def test_a_sites_wheels_are_copied_to_a_host_that_is_another_machine(plan: DeploymentPlan) -> None:
    for on_host, folder, copied in ((True, "/site/wheels", ""), (False, f"{plan.home}/wheels", "/site/wheels")):
        roles = variables(plan, wheels=rolevars.SiteWheels("/site/wheels", is_on_host=on_host))
        environment = roles["engine_environment"]
        assert (environment["wheels"], environment["wheels_source"]) == (folder, copied)
        service: Any = roles["service"]
        assert service["supervisor"]["wheels"] == folder
    assert variables(plan)["engine_environment"]["wheels"] == ""


def test_beside_a_torch_of_the_host_none_is_installed_and_its_packages_are_seen(plan: DeploymentPlan) -> None:
    environment = EngineEnvironment(requirements="", digest="d", torch="torch==2.11.0", torch_index="")
    role = variables(plan.model_copy(update={"engine_environment": environment}))["engine_environment"]
    assert (role["torch_of_host"], role["torch_index"], role["shims"]) == (True, "", False)
    assert variables(plan)["engine_environment"]["torch_of_host"] is False


def test_a_model_without_revision_has_an_empty_one(plan: DeploymentPlan) -> None:
    assert variables(plan)["model_files"]["revision"] == ""


def test_a_container_gets_an_image_and_no_environment(plan: DeploymentPlan) -> None:
    image = ImageChoice(name="site", base="", reference="fleet/engine:1", digest=None)
    container = plan.model_copy(update={"runtime": "container", "engine_environment": None, "image": image})
    roles = variables(container, image_source="127.0.0.1:5000/fleet/engine@sha256:1")
    assert "engine_environment" not in roles
    assert (roles["image"]["reference"], roles["image"]["source"]) == (
        "fleet/engine:1",
        "127.0.0.1:5000/fleet/engine@sha256:1",
    )
    assert variables(container)["image"]["source"] == "fleet/engine:1"
    assert roles["host_layout"]["engine_user"] == IMAGE_USER
    assert roles["host_layout"]["cache"] == "/opt/fleet/cache"
    assert f"{roles['service']['container']}.service" == roles["service"]["unit"]
    assert "image" not in variables(plan)
    assert (variables(plan)["host_layout"]["cache"], variables(plan)["service"]["container"]) == ("", "")


def test_stopping_names_no_release(plan: DeploymentPlan) -> None:
    manifest = variables(plan, release_id="none")["release"]["manifest"]
    assert isinstance(manifest, dict)
    assert manifest["created"] == ""


@pytest.mark.parametrize(
    ("process_1", "user", "become", "manager"),
    [
        ("systemd", "root", False, "systemd"),
        ("systemd", "ubuntu", True, "systemd"),
        ("systemd", "ubuntu", False, "supervisor"),
        ("sh", "root", True, "supervisor"),
    ],
)
def test_who_keeps_the_engine(process_1: str, user: str, become: bool, manager: str) -> None:
    assert rolevars.manager_for(process_1, user, become=become) == manager


def test_the_second_inventory_names_only_planned_hosts(plan: DeploymentPlan) -> None:
    files = rolevars.inventory_files({"gpu01": variables(plan), "gpu02": variables(plan)})
    assert sorted(files) == ["host_vars/gpu01.json", "host_vars/gpu02.json", "hosts.json"]
    assert json.loads(files["hosts.json"]) == {"all": {"children": {"planned": {"hosts": {"gpu01": {}, "gpu02": {}}}}}}
    assert json.loads(files["host_vars/gpu01.json"]) == json.loads(json.dumps(variables(plan)))
