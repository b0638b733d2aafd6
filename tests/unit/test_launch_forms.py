"""Docker, Compose, systemd and Kubernetes: each form read back the way its own tool reads it."""

import re
from typing import Any

import pytest
import yaml

from devstral_fleet import catalog as catalogs
from devstral_fleet import launch
from devstral_fleet.plan import DeploymentPlan
from tests.support.intents import cpu_host, gpu_host, planned
from tests.support.shell_words import shell_words

CATALOG = catalogs.load()
LARGE = launch.generate(CATALOG, "h100", "devstral-2", True)
AMD = launch.generate(CATALOG, "mi300x", "devstral-2", True)
HOST = planned(gpu_host(listen="10.0.0.7", port=31000, environment={"NOTE": '50% of $HOME "x" it\'s \\ fine'}))
PLANS = [pytest.param(LARGE, id="nvidia"), pytest.param(AMD, id="amd"), pytest.param(HOST, id="host")]
SWITCHES = {"--detach", "--init", "--rm"}
SECONDS = re.compile(r"^(\d+)s$")


def docker_options(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Docker's options, each with its values, and what follows them: image and command."""
    assert words[:2] == ["docker", "run"]
    options: dict[str, list[str]] = {}
    rest = words[2:]
    while rest[0].startswith("-"):
        taken = 1 if rest[0] in SWITCHES else 2
        options.setdefault(rest[0], []).extend(rest[1:taken])
        rest = rest[taken:]
    return options, rest


def docker_words(plan: DeploymentPlan) -> list[str]:
    text = launch.write(plan, "docker").replace('"$(getent group render | cut -d: -f3)"', "109")
    assert "$(" not in text
    return shell_words(text)


def engine_command(plan: DeploymentPlan) -> list[str]:
    """What runs inside a container: the plan's arguments on the container's own interface, and the key's file."""
    words = list(plan.arguments)
    words[words.index("--host") + 1] = "0.0.0.0"
    return ["python3", "-m", "sglang.launch_server", *words, "--config", "/run/secrets/engine.yml"]


def seconds(text: str) -> int:
    found = SECONDS.match(text)
    assert found
    return int(found[1])


def unit_entries(text: str) -> dict[str, list[str]]:
    """Keys of a unit file with their values; only comments, headers and assignments are lines of one."""
    entries: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith(("#", "[")):
            key, equals, value = line.partition("=")
            assert equals
            entries.setdefault(key, []).append(value)
    return entries


def unit_words(line: str) -> list[str]:
    """One Exec line's words, as systemd reads them: double quotes, C escapes, doubled % and $."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    plain = [re.sub(r"\\(.)", r"\1", quoted or bare) for quoted, bare in words]
    return [word.replace("%%", "%").replace("$$", "$") for word in plain]


@pytest.mark.parametrize("plan", PLANS)
def test_docker(plan: DeploymentPlan) -> None:
    options, rest = docker_options(docker_words(plan))
    assert plan.image is not None
    assert rest == [plan.image.reference, *engine_command(plan)]
    assert {"--detach", "--init", "--restart", "--shm-size", "--ipc"} <= options.keys()
    assert options["--publish"] == [f"{plan.listen}:{plan.port}:{plan.port}"]
    assert options["--ulimit"] == ["memlock=-1", "stack=67108864"]
    assert seconds(options["--health-start-period"][0]) == plan.health_deadline_s
    assert {f"{key}={value}" for key, value in plan.environment.items()} <= set(options.get("--env", []))


def test_docker_hands_over_the_gpus_of_each_vendor() -> None:
    nvidia, _ = docker_options(docker_words(LARGE))
    amd, _ = docker_options(docker_words(AMD))
    assert nvidia["--gpus"] == ['"device=0,1,2,3"']
    assert "--gpus" not in amd
    assert amd["--device"] == ["/dev/kfd", "/dev/dri"]
    assert amd["--group-add"] == ["video", "109"]
    assert "HIP_VISIBLE_DEVICES=0,1" in amd["--env"]


def test_a_hosts_files_are_read_only_and_the_hubs_cache_is_not() -> None:
    host, _ = docker_options(docker_words(HOST))
    models = "/opt/devstral-fleet/models"
    key = "type=bind,source=/opt/devstral-fleet/secrets/engine.yml,target=/run/secrets/engine.yml,readonly"
    assert host["--mount"] == [f"type=bind,source={models},target={models},readonly", key]
    cache = "/opt/devstral-fleet/cache:/var/cache/devstral-fleet"
    assert host["--volume"] == [cache]
    without, _ = docker_options(docker_words(LARGE))
    assert without["--mount"] == [key]
    assert without["--volume"] == ["/opt/devstral-fleet/huggingface:/root/.cache/huggingface", cache]


@pytest.mark.parametrize("plan", PLANS)
def test_compose(plan: DeploymentPlan) -> None:
    document = yaml.safe_load(launch.write(plan, "compose"))
    (service,) = document["services"].values()
    assert plan.image is not None
    assert service["image"] == plan.image.reference
    assert service["command"] == engine_command(plan)
    assert service["init"] is True
    assert service["ports"] == [f"{plan.listen}:{plan.port}:{plan.port}"]
    assert seconds(service["healthcheck"]["start_period"]) == plan.health_deadline_s
    assert service["healthcheck"]["test"][-1] == f"http://127.0.0.1:{plan.port}/health"
    assert service["ulimits"] == {"memlock": -1, "stack": 67108864}
    undone = {key: value.replace("$$", "$") for key, value in service["environment"].items()}
    assert plan.environment.items() <= undone.items()
    assert "privileged" not in service


def test_compose_hands_over_the_gpus_of_each_vendor() -> None:
    nvidia = yaml.safe_load(launch.write(LARGE, "compose"))["services"]["engine"]
    amd = yaml.safe_load(launch.write(AMD, "compose"))["services"]["engine"]
    (device,) = nvidia["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["0", "1", "2", "3"], "capabilities": ["gpu"]}
    assert amd["devices"] == ["/dev/kfd:/dev/kfd", "/dev/dri:/dev/dri"]
    assert amd["group_add"][0] == "video"


@pytest.mark.parametrize("plan", PLANS)
def test_a_systemd_unit_runs_the_same_container(plan: DeploymentPlan) -> None:
    entries = unit_entries(launch.write(plan, "systemd"))
    (start,) = entries["ExecStart"]
    shell, flag, script = unit_words(start)
    assert (shell, flag) == ("/bin/sh", "-c")
    script = script.replace('"$(getent group render | cut -d: -f3)"', "109")
    words = shell_words(script)
    assert words.pop(0) == "exec"
    options, rest = docker_options(words)
    alone, same_rest = docker_options(docker_words(plan))
    assert rest == same_rest
    assert options.keys() - alone.keys() == {"--rm"}
    assert alone.keys() - options.keys() == {"--detach", "--restart", "--log-opt"}
    assert options.pop("--log-driver") == ["none"]  # systemd keeps what it prints
    assert all(values == alone[flag] for flag, values in options.items() if flag in alone)
    assert entries["Restart"] == ["always"]
    assert "docker.service" in entries["After"]


def test_a_systemd_unit_of_the_native_runtime() -> None:
    plan = planned(cpu_host(environment={"NOTE": "50% of $HOME"}))
    entries = unit_entries(launch.write(plan, "systemd"))
    assert plan.engine_environment is not None
    python = f"/srv/fleet/environments/{plan.engine_environment.digest}/bin/python"
    expected = [python, "-m", "sglang.launch_server", *plan.arguments, "--config", "/srv/fleet/secrets/engine.yml"]
    assert [unit_words(line) for line in entries["ExecStart"]] == [expected]
    assert '"NOTE=50%% of $HOME"' in entries["Environment"]
    assert entries["KillMode"] == ["mixed"]


@pytest.mark.parametrize("plan", PLANS)
def test_kubernetes(plan: DeploymentPlan) -> None:
    text = launch.write(plan, "kubernetes")
    deployment, service = yaml.safe_load_all(text)
    pod = deployment["spec"]["template"]["spec"]
    (engine,) = pod["containers"]
    assert "&id" not in text
    assert engine["command"] == engine_command(plan)
    assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["ports"][0]["targetPort"] == engine["ports"][0]["containerPort"] == plan.port
    assert {mount["name"] for mount in engine["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert pod["shareProcessNamespace"] is True
    assert not {"hostNetwork", "hostIPC", "hostPID"} & pod.keys()


@pytest.mark.parametrize(("plan", "resource"), [(LARGE, {"nvidia.com/gpu": 4}), (AMD, {"amd.com/gpu": 2})])
def test_kubernetes_waits_for_the_model_and_asks_for_its_gpus(plan: DeploymentPlan, resource: dict[str, int]) -> None:
    deployment = next(yaml.safe_load_all(launch.write(plan, "kubernetes")))
    (engine,) = deployment["spec"]["template"]["spec"]["containers"]
    start: dict[str, Any] = engine["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= plan.health_deadline_s
    assert deployment["spec"]["progressDeadlineSeconds"] > plan.health_deadline_s
    assert engine["livenessProbe"]["httpGet"]["path"] == "/health"
    assert engine["resources"]["limits"] == resource
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("form", ["docker", "compose", "systemd", "kubernetes"])
def test_no_form_holds_a_key_or_all_privileges(plan: DeploymentPlan, form: str) -> None:
    text = launch.write(plan, form)
    assert "--api-key" not in text
    assert "privileged" not in text
    assert "engine.yml" in text
    assert "0.0.0.0:" not in text
