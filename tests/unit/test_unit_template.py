"""The systemd unit's text, where a wrong line is seen only on another machine."""

import shlex

import jinja2
import yaml

from tests.support.tree import ROOT

ROLE = ROOT / "playbooks" / "roles" / "service"
SERVICE = {"home": "/srv/a home", "log": "/srv/a home/log/engine.log", "container": "", "drain_s": 77}


def numbers() -> dict[str, int]:
    """The role's own numbers."""
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    return {name: value for name, value in variables.items() if isinstance(value, int)}


def unit(**changes: str) -> dict[str, str]:
    """Name and value of each line."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True)  # noqa: S701
    environment.filters["quote"] = shlex.quote
    template = environment.from_string((ROLE / "templates" / "unit.service.j2").read_text())
    lines = template.render(service={**SERVICE, **changes}, **numbers()).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_engines_caches_go_where_it_may_write() -> None:
    assert unit()["Environment"] == "'HOME=/srv/a home'"
    assert unit()["ReadWritePaths"] == SERVICE["home"]


def test_a_container_starts_after_docker_and_does_not_outlive_its_docker_run() -> None:
    lines = unit(container="devstral-fleet-1")
    assert lines["After"] == "network.target docker.service"
    assert lines["Wants"] == "docker.service"
    assert lines["ExecStopPost"] == "-docker container rm --force devstral-fleet-1"
    assert unit()["After"] == "network.target"
    assert not {"Wants", "ExecStopPost"} & unit().keys()


def test_a_stop_waits_for_running_requests_until_the_plans_deadline() -> None:
    assert unit()["TimeoutStopSec"] == "77"


def test_systemd_gives_up_on_an_engine_that_always_dies_at_once() -> None:
    """Starts are a life and a pause apart; one more than allowed falls into the interval while lives are short."""
    life_s, pause_s, tries = (numbers()[f"__service_{name}"] for name in ("start_s", "pause_s", "start_tries"))
    assert int(unit()["StartLimitBurst"]) == tries
    assert int(unit()["RestartSec"]) == pause_s
    assert int(unit()["StartLimitIntervalSec"]) >= tries * (life_s + pause_s)
