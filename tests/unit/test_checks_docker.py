"""What the container runtime asks of a host, and of what runs there."""

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import checks, checks_docker, image_pins
from devstral_fleet.catalog.provisioning import System
from devstral_fleet.facts import NO_DOCKER, DockerFacts, EngineFacts
from devstral_fleet.plan import DeploymentPlan, ImageChoice
from tests.support.values import ENGINE, PLAN, RUNNING, VERSIONS, releases

IMAGE = ImageChoice(name="site", base="", reference="fleet/engine:1", digest=None)
IN_A_CONTAINER = PLAN.model_copy(update={"runtime": "container", "image": IMAGE})
DEBIAN = catalogs.load().provisioning.systems["debian-12"]
BY_HAND = "on the host: install a Docker engine, as its documents say"
GOOD = DockerFacts(version="20.10", detail="", image_id="sha256:aa", running_id="sha256:aa", published=(30000,))


def test_a_native_plan_asks_nothing_of_docker() -> None:
    assert checks_docker.before(PLAN, NO_DOCKER, by_systemd=False, system=DEBIAN, provisioned=True) == ()
    assert checks_docker.after(PLAN, NO_DOCKER) == ()


def test_a_fit_host() -> None:
    found = checks_docker.before(IN_A_CONTAINER, GOOD, by_systemd=True, system=DEBIAN, provisioned=True)
    assert [(finding.check, finding.state) for finding in found] == [
        ("service-manager", "ok"),
        ("docker", "ok"),
        ("provision", "ok"),
        ("registry", "ok"),
    ]


def test_a_registry_must_have_an_address_where_the_image_is_pulled() -> None:
    lost = GOOD.model_copy(update={"image_id": "", "unresolved": "registry.site"})
    *_, registry = checks_docker.before(IN_A_CONTAINER, lost, by_systemd=True, system=DEBIAN, provisioned=True)
    assert (registry.check, registry.state) == ("registry", "fail")
    assert "no address of registry.site" in registry.summary
    sent = IN_A_CONTAINER.model_copy(update={"image": IMAGE.model_copy(update={"pulled": False})})
    assert {
        finding.check for finding in checks_docker.before(sent, lost, by_systemd=True, system=DEBIAN, provisioned=True)
    } == {
        "service-manager",
        "docker",
        "provision",
    }


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("lmsysorg/sglang:v0.5.20", image_pins.DOCKER_HUB),
        ("sglang", image_pins.DOCKER_HUB),
        ("registry.site/a/b:1", "registry.site"),
        ("127.0.0.1:5000/a@sha256:00", "127.0.0.1"),
    ],
)
def test_which_machine_has_a_name(reference: str, registry: str) -> None:
    assert image_pins.registry_of(reference) == registry


def test_a_proxy_that_does_not_answer_is_named() -> None:
    lost = GOOD.model_copy(update={"image_id": "", "lost_proxy": "proxy.site:3128"})
    *_, registry = checks_docker.before(IN_A_CONTAINER, lost, by_systemd=True, system=DEBIAN, provisioned=True)
    assert (registry.check, registry.state) == ("registry", "fail")
    assert "the proxy proxy.site:3128" in registry.summary


def test_systemd_must_be_ours_to_tell() -> None:
    keeper, *_ = checks_docker.before(IN_A_CONTAINER, GOOD, by_systemd=False, system=DEBIAN, provisioned=True)
    assert (keeper.check, keeper.state) == ("service-manager", "fail")
    assert "ansible_become: true" in keeper.fix


def test_a_docker_that_does_not_answer_fails_with_its_words() -> None:
    silent = NO_DOCKER.model_copy(update={"detail": "Cannot connect"})
    _, engine, *_ = checks_docker.before(IN_A_CONTAINER, silent, by_systemd=True, system=DEBIAN, provisioned=True)
    assert (engine.check, engine.state, engine.evidence) == ("docker", "fail", ("Cannot connect",))
    assert engine.fix == "on the host: sudo systemctl start docker"
    for provisioned, fix in ((True, f".venv/bin/invoke provision --host {PLAN.host}"), (False, BY_HAND)):
        _, engine, *_ = checks_docker.before(
            IN_A_CONTAINER, NO_DOCKER, by_systemd=True, system=DEBIAN, provisioned=provisioned
        )
        assert (engine.state, engine.fix) == ("fail", fix)


def test_how_far_a_system_was_tried_is_said() -> None:
    def said(system: System | None, docker: DockerFacts) -> tuple[str, str]:
        found = checks_docker.before(IN_A_CONTAINER, docker, by_systemd=True, system=system, provisioned=True)
        (finding,) = (each for each in found if each.check == "provision")
        return finding.state, finding.summary

    assert said(DEBIAN, NO_DOCKER) == ("ok", "debian-12 can be provisioned")
    rendered = catalogs.load().provisioning.systems["rhel-9"]
    assert "(rendered): it was never tried" in said(rendered, NO_DOCKER)[1]
    assert said(None, NO_DOCKER)[0] == "warn"
    assert said(None, GOOD)[0] == "ok"


@pytest.mark.parametrize(
    ("changes", "state", "says"),
    [
        ({}, "ok", "runs fleet/engine:1 (aa)"),
        ({"running_id": "sha256:bb"}, "fail", "another name (sha256:bb), planned is fleet/engine:1"),
        ({"running_id": ""}, "fail", "runs nothing"),
        ({"image_id": "", "running_id": ""}, "fail", "runs nothing"),
    ],
)
def test_what_the_container_runs(changes: dict[str, str], state: str, says: str) -> None:
    (finding,) = checks_docker.after(IN_A_CONTAINER, GOOD.model_copy(update=changes))
    assert (finding.check, finding.state) == ("image", state)
    assert says in finding.summary


def test_in_a_container_the_engine_listens_on_every_interface() -> None:
    plan = IN_A_CONTAINER.model_copy(update={"arguments": ("--host", "127.0.0.1", "--port", "30000")})
    engine = ENGINE.model_copy(update={"server_info": {"host": "0.0.0.0", "port": 30000}})
    assert _arguments(plan, engine) == "ok"
    assert _arguments(plan.model_copy(update={"image": None}), engine) == "fail"


def _arguments(plan: DeploymentPlan, engine: EngineFacts) -> str:
    """State of that one finding."""
    findings = checks.after(plan, RUNNING, engine, VERSIONS, releases({"1": plan.digest}, "1", "1"))
    return next(finding.state for finding in findings if finding.check == "arguments")
