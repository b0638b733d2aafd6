"""What a report tells of earlier runs: the newest proof of each kind, of the same release, and who proved it."""

from collections.abc import Iterator

import pytest

from devstral_fleet.report import tables_proof
from devstral_fleet.report.chart_startup import waterfall
from devstral_fleet.report.markdown import markdown
from devstral_fleet.report.model import HostReport, RunReport
from devstral_fleet.report.proofs import KINDS, acceptance, earlier, tool_cases
from devstral_fleet.report.tables import host_tables
from tests.unit.report_full_samples import full_report

FULL = full_report()
RELEASE = "20261123T120000Z-000000000000"
(STARTED,) = (start.model_copy(update={"release": RELEASE}) for start in (FULL.hosts[0].startup,) if start)
WHOLE = FULL.hosts[0].model_copy(update={"release": RELEASE, "startup": STARTED})
NOTHING = {"accuracy": (), "smoke": (), "findings_after": (), "startup": None, "earlier_startups": (), "tasks": ()}
MEASURED = WHOLE.model_copy(update=NOTHING)
"""What `bench` alone knows of the host."""


def run(run_id: str, host: HostReport) -> RunReport:
    return FULL.model_copy(update={"run": run_id, "hosts": (host,)})


def only(**fields: object) -> HostReport:
    return MEASURED.model_copy(update=fields)


def captions(host: HostReport) -> dict[str, str]:
    return {each.caption: each.note for each in host_tables(run("bench", host), host)}


def test_the_newest_run_that_proved_a_kind_is_told() -> None:
    smoke, after = WHOLE.smoke, WHOLE.findings_after
    found = earlier(
        WHOLE.host,
        RELEASE,
        (run("4", only(accuracy=WHOLE.accuracy)), run("3", only(smoke=smoke)), run("2", WHOLE), run("1", WHOLE)),
    )
    assert [proof.run for proof in found] == ["4", "3", "2"]
    newest, asked, deployed = found
    assert newest.accuracy == WHOLE.accuracy
    assert (asked.tool_cases, asked.accuracy) == (tool_cases(WHOLE), ())
    assert (deployed.startup, deployed.tasks, deployed.tool_cases) == (STARTED, WHOLE.tasks, ())
    assert deployed.earlier_startups == WHOLE.earlier_startups
    assert deployed.acceptance == acceptance(WHOLE) != ()
    assert set(deployed.acceptance) < set(after)


def test_no_more_runs_are_read_than_are_needed() -> None:
    def runs() -> Iterator[RunReport]:
        yield run("1", WHOLE)
        pytest.fail("everything was proven by the newest run")

    (found,) = earlier(WHOLE.host, RELEASE, runs())
    assert all(getattr(found, kind) for kind in KINDS)


@pytest.mark.parametrize(
    ("host", "release"), [(WHOLE.host, "another"), (WHOLE.host, "")], ids=["another release", "none known"]
)
def test_another_release_proves_nothing_but_its_hosts_gpus(host: str, release: str) -> None:
    (found,) = earlier(host, release, (run("1", WHOLE),))
    assert found.acceptance
    assert (found.accuracy, found.tool_cases, found.startup, found.tasks) == ((), (), None, ())


def test_another_host_proves_nothing() -> None:
    assert earlier("another", RELEASE, (run("1", WHOLE),)) == ()


def test_a_look_at_the_gpus_is_no_acceptance() -> None:
    looked = tuple(each for each in WHOLE.findings_after if each.check == "gpu-start")
    assert looked
    assert earlier(WHOLE.host, RELEASE, (run("1", only(findings_after=looked)),)) == ()


def test_a_report_of_speed_tells_all_of_them_and_whose_they_are() -> None:
    proofs = earlier(WHOLE.host, RELEASE, (run("of-the-deploy", WHOLE),))
    told = captions(MEASURED.model_copy(update={"proofs": proofs}))
    kinds = ("Accuracy", "Tool calls", "Tool call cases", "Acceptance", tables_proof.STARTUP, "Starts on this host")
    for caption in (*kinds, "Slowest tasks"):
        assert told[caption].endswith(f"Run of-the-deploy, {FULL.finished}."), caption
        assert caption not in captions(MEASURED)
        assert "of-the-deploy" not in captions(WHOLE.model_copy(update={"proofs": proofs}))[caption], (
            "its own goes first"
        )
    assert "Run of-the-deploy" in markdown(run("bench", MEASURED.model_copy(update={"proofs": proofs})))


def test_the_waterfall_is_drawn_of_an_earlier_run_too() -> None:
    proofs = earlier(WHOLE.host, RELEASE, (run("1", WHOLE),))
    drawn, own = waterfall(MEASURED.model_copy(update={"proofs": proofs})), waterfall(WHOLE)
    assert drawn is not None
    assert drawn == own
    assert waterfall(MEASURED) is None


def test_proofs_are_shown_and_not_judged() -> None:
    failed = tuple(each.model_copy(update={"state": "fail"}) for each in WHOLE.accuracy)
    proofs = earlier(WHOLE.host, RELEASE, (run("1", only(accuracy=failed)),))
    assert proofs[0].accuracy[0].state == "fail"
    assert MEASURED.model_copy(update={"proofs": proofs}).state == MEASURED.state
