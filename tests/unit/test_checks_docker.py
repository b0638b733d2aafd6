"""What the container runtime asks of a host, and of what runs there."""

import pytest

from devstral_fleet import checks, checks_docker
from devstral_fleet.facts import NO_DOCKER, DockerFacts, EngineFacts
from devstral_fleet.plan import DeploymentPlan, ImageChoice
from tests.support.values import ENGINE, PLAN, RUNNING, VERSIONS, releases

IMAGE = ImageChoice(name="site", base="", reference="fleet/engine:1", digest=None)
IN_A_CONTAINER = PLAN.model_copy(update={"runtime": "container", "image": IMAGE})
GOOD = DockerFacts(version="20.10", detail="", image_id="sha256:aa", running_id="sha256:aa", published=(30000,))


def test_a_native_plan_asks_nothing_of_docker() -> None:
    assert checks_docker.before(PLAN, NO_DOCKER, by_systemd=False) == ()
    assert checks_docker.after(PLAN, NO_DOCKER) == ()


def test_a_fit_host() -> None:
    assert [finding.state for finding in checks_docker.before(IN_A_CONTAINER, GOOD, by_systemd=True)] == ["ok", "ok"]


def test_systemd_must_be_ours_to_tell() -> None:
    keeper, _ = checks_docker.before(IN_A_CONTAINER, GOOD, by_systemd=False)
    assert (keeper.check, keeper.state) == ("service-manager", "fail")
    assert "ansible_become: true" in keeper.fix


def test_a_docker_that_does_not_answer_fails_with_its_words() -> None:
    silent = NO_DOCKER.model_copy(update={"detail": "Cannot connect"})
    _, engine = checks_docker.before(IN_A_CONTAINER, silent, by_systemd=True)
    assert (engine.check, engine.state, engine.evidence) == ("docker", "fail", ("Cannot connect",))
    assert "apt-get install docker.io" in engine.fix


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
