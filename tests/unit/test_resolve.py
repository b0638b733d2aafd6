"""From an inventory host to its plan, and every reason why there is none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.errors import ExitCode, PlanError
from devstral_fleet.intent import Connection, HostIntent
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.resolve import environment_digest, requirements_files, resolve, resolve_all
from devstral_fleet.sources import Sources
from tests.support.intents import SOURCES, cpu_host, gpu_host, planned

CATALOG = catalogs.load()


def problems(**keys: Any) -> tuple[str, ...]:
    host = cpu_host if keys.get("accelerator") == "cpu" else gpu_host
    with pytest.raises(PlanError) as caught:
        planned(host(**keys))
    assert caught.value.code == ExitCode.CONFIGURATION
    return caught.value.problems


def test_the_cpu_plan() -> None:
    plan = planned(cpu_host(port=31000))
    assert (plan.tp, plan.gpus, plan.context_length, plan.kv_pool_tokens) == (1, (), 32_768, 65_536)
    assert (plan.memory, plan.mem_fraction_static, plan.image, plan.driver_minimum) == (None, None, None, "")
    assert " ".join(plan.arguments) == (
        f"--model-path /srv/fleet/models/{plan.files.directory} --served-model-name devstral-tiny"
        " --host 127.0.0.1 --port 31000 --context-length 32768 --max-total-tokens 65536 --tool-call-parser mistral"
        " --device cpu --attention-backend torch_native --max-running-requests 32 --sleep-on-idle --enable-metrics"
    )
    assert plan.environment == {
        "HF_HUB_OFFLINE": "1",
        "SGLANG_USE_CPU_ENGINE": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
    assert plan.smoke_workload == "chat-smoke"


def test_the_cpu_environment_is_named_by_what_makes_it() -> None:
    found = planned(cpu_host()).engine_environment
    assert found is not None
    assert (found.requirements, found.torch) == ("engine-cpu.lock", "torch==2.13.0+cpu")
    assert found.digest == environment_digest(b"pinned==1\n", "torch==2.13.0+cpu", "python3", b"shim")
    assert len(found.digest) == 16


@pytest.mark.parametrize("change", range(4))
def test_every_part_changes_the_environments_name(change: int) -> None:
    parts: list[Any] = [b"a", "b", "c", b"d"]
    parts[change] = parts[change] * 2
    assert environment_digest(*parts) != environment_digest(b"a", "b", "c", b"d")
    assert environment_digest(b"ab", "", "c", b"d") != environment_digest(b"a", "b", "c", b"d")


def test_a_sites_own_requirements_pin_torch_themselves() -> None:
    sources = Sources(requirements={"/site/engine.lock": b"own"})
    found = resolve(cpu_host(engine_requirements="/site/engine.lock"), CATALOG, sources).engine_environment
    assert found is not None
    assert (found.requirements, found.torch, found.torch_index) == ("/site/engine.lock", "", "")


def test_requirements_files_that_must_be_read() -> None:
    hosts = [cpu_host(), cpu_host(engine_requirements="/site/a.lock"), gpu_host()]
    assert requirements_files(hosts, CATALOG) == ("/site/a.lock", "engine-cpu.lock")


def test_a_gpu_plan() -> None:
    plan = planned(gpu_host(model="devstral-2"))
    assert (plan.tp, plan.gpus, plan.context_length) == (4, (0, 1, 2, 3), 262_144)
    assert plan.image is not None
    assert plan.image.reference == "lmsysorg/sglang:v0.5.20-cu130"
    assert plan.driver_minimum == "580.65.06"
    assert plan.memory is not None
    assert plan.memory.kv_pool_tokens == plan.kv_pool_tokens > 262_144
    assert " ".join(plan.arguments) == (
        "--model-path /opt/devstral-fleet/models/devstral-2-main"
        " --served-model-name mistralai/Devstral-2-123B-Instruct-2512 --host 127.0.0.1 --port 30000"
        " --context-length 262144 --tp 4 --mem-fraction-static 0.819 --tool-call-parser mistral --enable-metrics"
    )
    assert plan.disk_needed_gib == 165.0
    assert any("not pinned by digest" in note for note in plan.notes)
    assert any("licence" in note for note in plan.notes)


def test_the_hosts_wishes_are_in_the_plan() -> None:
    plan = planned(
        gpu_host(
            listen="10.0.0.7",
            port=31111,
            home="/data/fleet",
            tensor_parallel=2,
            context_length=100_000,
            mem_fraction_static=0.7,
            max_total_tokens=200_000,
            kv_cache_dtype="fp8_e4m3",
            load_format="dummy",
            sglang_version="0.5.18",
            environment={"NCCL_DEBUG": "INFO", "HF_HUB_OFFLINE": "0"},
            health_deadline_s=77,
        )
    )
    text = " ".join(plan.arguments)
    for words in (
        *("--host 10.0.0.7 --port 31111", "--tp 2", "--context-length 100000", "--mem-fraction-static 0.7"),
        *("--max-total-tokens 200000", "--kv-cache-dtype fp8_e4m3", "--load-format dummy"),
        "--model-path /data/fleet/models/devstral-small-2-main",
    ):
        assert words in text
    assert plan.environment["NCCL_DEBUG"] == "INFO"
    assert plan.environment["HF_HUB_OFFLINE"] == "0"
    assert (plan.health_deadline_s, plan.kv_pool_tokens) == (77, 200_000)
    assert plan.image is not None
    assert plan.image.reference == "lmsysorg/sglang:v0.5.18-cu130"
    assert "SGLang 0.5.18 replaces the catalog's 0.5.20." in plan.notes


@pytest.mark.parametrize(("driver", "image"), [
    ("", "cuda13"),
    ("580.159.04", "cuda13"),
    ("580.65.06", "cuda13"),
    ("575.57.08", "cuda12"),
    ("535.10", "cuda13"),
])  # fmt: skip
def test_the_hosts_driver_decides_between_images(driver: str, image: str) -> None:
    sources = Sources(drivers={"gpu01": driver} if driver else {})
    plan = resolve(gpu_host(), CATALOG, sources)
    assert plan.image is not None
    assert plan.image.name == image


def test_a_pinned_image_is_named_by_its_digest() -> None:
    digest = "sha256:" + "a" * 64
    plan = resolve(gpu_host(), CATALOG, replace(SOURCES, pins={"lmsysorg/sglang:v0.5.20-cu130": digest}))
    assert plan.image is not None
    assert plan.image.reference == f"lmsysorg/sglang:v0.5.20-cu130@{digest}"
    assert not any("not pinned by digest" in note for note in plan.notes)


@pytest.mark.parametrize(("intent", "name", "base"), [
    (cpu_host(runtime="container"), "cpu", "debian:bookworm-slim"),
    (cpu_host(runtime="container", image_base="own:1"), "cpu", "own:1"),
    (gpu_host(image_build=True), "cuda13", "lmsysorg/sglang:v0.5.20-cu130"),
    (gpu_host(image_base="site.example/sglang:1"), "cuda13", "site.example/sglang:1"),
])  # fmt: skip
def test_an_image_of_ours_comes_from_the_controller_and_says_what_it_is_from(
    intent: HostIntent, name: str, base: str
) -> None:
    plan = planned(intent)
    assert plan.image is not None
    assert plan.image.reference.startswith(f"devstral-fleet/{name}:0.5.20-")
    assert (plan.image.base, plan.image.built, plan.image.pulled) == (base, True, False)
    assert f"Base image {base} is not pinned by digest." in plan.notes


def test_a_pinned_base_is_in_the_plan_and_makes_another_image() -> None:
    intent, digest = gpu_host(image_base="site.example/sglang:1"), "sha256:" + "b" * 64
    plain = planned(intent)
    plan = resolve(intent, CATALOG, replace(SOURCES, pins={"site.example/sglang:1": digest}))
    assert plan.image is not None
    assert plan.image.base == f"site.example/sglang:1@{digest}"
    assert "@" not in plan.image.reference
    assert plan.image != plain.image
    assert not any("not pinned by digest" in note for note in plan.notes)


def test_a_sites_own_image_is_pinned_only_where_it_is_pulled() -> None:
    digest = "sha256:" + "c" * 64
    sources = replace(SOURCES, pins={"site.example/own:1": digest, "own:1": digest})
    pulled, sent = (resolve(gpu_host(image=name), CATALOG, sources).image for name in ("site.example/own:1", "own:1"))
    assert pulled is not None
    assert sent is not None
    assert (pulled.reference, sent.reference) == (f"site.example/own:1@{digest}", "own:1")


@pytest.mark.parametrize(("keys", "said"), [
    ({"model": "devstral-small"}, "model 'devstral-small' is not in the catalog; did you mean devstral-small-2"),
    ({"hardware": "h1000"}, "hardware 'h1000' is not in the catalog; did you mean h100"),
    ({"sglang_version": "0.4.0"}, "SGLang 0.4.0 is not in the catalog"),
    ({"hardware": "mi300x"}, "mi300x is amd and fleet_accelerator says nvidia; set fleet_accelerator: amd"),
    ({"model": "devstral-tiny"}, "devstral-tiny (bf16) is not served on nvidia; set fleet_model: devstral-small-2"),
    ({"accelerator": "cpu", "model": "devstral-2"}, "not served on cpu; set fleet_model: devstral-tiny"),
    ({"image": "own:1", "image_build": True}, "fleet_image is run as it is; take it out, or take"),
    ({"ca_bundle": "/site/ca.pem"}, "fleet_ca_bundle goes into an image of ours; set fleet_image_build: true"),
    ({"ca_bundle": "/no/file", "image_build": True}, "fleet_ca_bundle '/no/file' cannot be read"),
    ({"accelerator": "cpu", "image_base": "base:1"}, "fleet_image_base is for fleet_runtime: container"),
    ({"accelerator": "cpu", "runtime": "container", "sglang_version": "0.5.18"}, "locked to SGLang 0.5.20"),
    ({"runtime": "native"}, "no native environment for nvidia; set fleet_runtime: container"),
    ({"accelerator": "cpu", "sglang_version": "0.5.18"}, "locked to SGLang 0.5.20"),
    ({"accelerator": "cpu", "engine_requirements": "/no/file"}, "requirements file '/no/file' cannot be read"),
    ({"accelerator": "cpu", "mem_fraction_static": 0.5}, "on cpu set fleet_max_total_tokens"),
    ({"accelerator": "cpu", "tensor_parallel": 2}, "tp 2 on cpu needs one core list a rank"),
    ({"environment": {"HF_TOKEN": "x"}}, "fleet_environment holds HF_TOKEN, which names a secret"),
    ({"listen": "0.0.0.0"}, "fleet_listen 0.0.0.0 would publish the engine without TLS"),
    ({"listen": "::"}, "fleet_listen :: would publish"),
    ({"listen": "8.8.8.8"}, "fleet_listen 8.8.8.8 would publish"),
    ({"listen": "gpu01"}, "fleet_listen 'gpu01' is no IP address"),
    ({"tensor_parallel": 3}, "tp 3 does not divide"),
    ({"context_length": 400_000}, "use at most 393216"),
    ({"gpu_count": 2, "model": "devstral-2"}, "devstral-2 does not fit on 2 x h100"),
])  # fmt: skip
def test_a_problem_says_what_and_what_to_do(keys: dict[str, Any], said: str) -> None:
    found = problems(**keys)
    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith(("gpu01: ", "local: "))


def test_every_problem_of_a_host_at_once() -> None:
    found = problems(listen="0.0.0.0", tensor_parallel=3, context_length=999_999)
    assert len(found) == 3


def test_every_problem_of_every_host_at_once() -> None:
    second, third = (Connection(kind="ssh", address=f"192.0.2.{number}") for number in (2, 3))
    hosts = [
        gpu_host(name="a", model="none"),
        gpu_host(name="b", connection=second),
        gpu_host(name="c", connection=third, tensor_parallel=5, listen="::"),
    ]
    with pytest.raises(PlanError) as caught:
        resolve_all(hosts, CATALOG, SOURCES)
    assert [problem[:2] for problem in caught.value.problems] == ["a:", "c:", "c:"]
    assert caught.value.message == "3 problems stand against this plan"


def test_all_hosts_get_their_plans() -> None:
    plans = resolve_all([gpu_host(name="a"), cpu_host(name="b")], CATALOG, SOURCES)
    assert {name: plan.hardware for name, plan in plans.items()} == {"a": "h100", "b": "cpu"}


def test_ranks_on_the_cpu_with_their_core_lists() -> None:
    plan = planned(cpu_host(tensor_parallel=2, environment={"SGLANG_CPU_OMP_THREADS_BIND": "0|1"}))
    assert plan.tp == 2
    assert "--tp 2" in " ".join(plan.arguments)


def test_a_plan_is_a_value_that_survives_a_file(tmp_path: Path) -> None:
    plan = planned(gpu_host(model="devstral-2"))
    path = tmp_path / "plan.json"
    path.write_text(plan.model_dump_json())
    again = DeploymentPlan.model_validate_json(path.read_text())
    assert again == plan
    assert again.digest == plan.digest == planned(gpu_host(model="devstral-2")).digest
    assert again.digest != planned(gpu_host(model="devstral-2", port=30001)).digest


@pytest.mark.parametrize("version", [entry.version for entry in CATALOG.engines.versions])
def test_a_plan_for_every_known_version(version: str) -> None:
    plan = planned(gpu_host(sglang_version=version))
    assert plan.sglang_version == version
    assert plan.context_length <= plan.kv_pool_tokens


def test_a_model_with_another_recipe_is_another_directory() -> None:
    tiny = CATALOG.model("devstral-tiny")
    other = tiny.model_copy(update={"recipe": {**tiny.recipe, "seed": 1}})
    catalog = type(CATALOG)(**{**vars(CATALOG), "models": {**CATALOG.models, "devstral-tiny": other}})
    assert resolve(cpu_host(), catalog, SOURCES).files.directory != planned(cpu_host()).files.directory


def test_two_hosts_that_are_one_machine_need_a_home_and_a_port_each() -> None:
    hosts = [cpu_host(name="a"), cpu_host(name="b", port=30001), cpu_host(name="c", home="/srv/other", port=30001)]
    with pytest.raises(PlanError) as caught:
        resolve_all(hosts, CATALOG, SOURCES)
    assert [problem.split(" ")[:3] for problem in caught.value.problems] == [
        ["b:", "fleet_home", "/srv/fleet"],
        ["c:", "fleet_port", "30001"],
    ]


def test_hosts_of_other_addresses_may_share_home_and_port() -> None:
    other = Connection(kind="ssh", address="192.0.2.2")
    plans = resolve_all(
        [gpu_host(name="a"), gpu_host(name="b", connection=other), cpu_host(name="c")], CATALOG, SOURCES
    )
    assert list(plans) == ["a", "b", "c"]


def test_another_note_is_no_other_plan() -> None:
    plan = resolve(gpu_host(), CATALOG, SOURCES)
    assert any("lose every ]" in note for note in plan.notes)
    assert plan.model_copy(update={"notes": ()}).digest == plan.digest
    assert plan.model_copy(update={"port": 30001}).digest != plan.digest
