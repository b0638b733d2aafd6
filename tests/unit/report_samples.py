"""A whole report for the tests: a measured host, a host that failed, and one that was only checked."""

from devstral_fleet.bench.verdict import judge, references, worst
from devstral_fleet.errors import VerificationError
from devstral_fleet.facts import HostFacts, VersionsFacts
from devstral_fleet.findings import Finding
from devstral_fleet.report.model import (
    BenchRow,
    ChangeReport,
    ErrorReport,
    HostReport,
    PhaseReport,
    RunReport,
    TaskReport,
    slowest,
)
from tests.unit.bench_samples import baseline, h100_result, measurement, plan, tolerances

HOSTILE = "<script>alert('x')</script> | a & b\nsecond line ```fence```"
PHASES = (
    ("lock", 0.0, 0.4),
    ("files", 0.4, 12.3),
    ("switch", 12.7, 74.25),
    ("smoke", 86.95, 5.5),
    ("bench", 92.45, 38.2),
)


def measured() -> HostReport:
    """A deployed host with three repeats, a failed and a passed metric, a reference row."""
    first = h100_result()
    repeats = (first, first.model_copy(update={"output_throughput": 1050.5}), first)
    point = measurement(*repeats)
    verdict = judge(point, baseline(), tolerances(5))
    other = baseline(name="amd-unspecified-tp8", hardware="amd-unspecified", tp=8, gpu_count=8, accelerator="amd")
    return HostReport(
        host="gpu01",
        outcome="deployed",
        exit_code=0,
        plan=plan(),
        release="20261123T120000Z-0123456789ab",
        previous_release="20261122T120000Z-ba9876543210",
        endpoint="http://127.0.0.1:30000/v1",
        curl="curl -H @/opt/devstral-fleet/secrets/auth.header http://127.0.0.1:30000/v1/models",
        phases=tuple(PhaseReport(name=name, offset_s=offset, seconds=seconds) for name, offset, seconds in PHASES),
        findings_before=(
            Finding(check="disk-free", state="ok", summary="412 GiB free, 40 GiB needed"),
            Finding(
                check="persistence-mode",
                state="warn",
                summary="the GPU's persistence mode is off",
                evidence=("persistence_mode: Disabled",),
                fix="nvidia-smi -pm 1",
            ),
        ),
        findings_after=(Finding(check="model-planned", state="ok", summary="serves devstral-small-2"),),
        smoke=(Finding(check="tool-call-streamed", state="ok", summary="a call of get_weather, in 7 pieces"),),
        bench=(BenchRow.of(point),),
        verdicts=(verdict,),
        verdict=worst([verdict]),
        references=references(point, [baseline(), other]),
        versions=VersionsFacts(sglang="0.5.17", transformers="5.12.1", torch="2.11.0"),
        facts=host_facts(),
        server_info={"max_total_tokens": 271434, "api_key": None},
        tasks=slowest((TaskReport(name="engine : Make the environment", seconds=9.9, changed=True),)),
        changes=(
            ChangeReport(task="engine : Write the start script", diff="--- before\n+++ after\n@@ -1 +1 @@\n-a\n+b"),
        ),
        next_commands=(".venv/bin/invoke connect --host gpu01",),
    )


def failed() -> HostReport:
    """A host whose error holds what could break a page."""
    error = VerificationError(f"engine died: {HOSTILE}", fix="look <here>", evidence=[HOSTILE, "| last | line |"])
    finding = Finding(check="tool-call", state="fail", summary=HOSTILE, evidence=(HOSTILE,), fix="try `again` | later")
    return HostReport(host="gpu02", outcome="restored", exit_code=5, smoke=(finding,), error=ErrorReport.of(error))


def checked() -> HostReport:
    """A host that nothing was done to."""
    return HostReport(host="gpu03", outcome="checked", exit_code=0)


def host_facts() -> HostFacts:
    """An ordinary GPU host."""
    return HostFacts(
        hostname="gpu01",
        os_id="ubuntu",
        os_version="24.04",
        kernel="6.8.0-90-generic",
        architecture="x86_64",
        process_1="systemd",
        user="root",
        python_version="3.12.3",
        has_venv=True,
        cpu_count=26,
        memory_gib=221.2,
        memory_available_gib=200.0,
        disk_free_gib=412.0,
        utc_epoch_s=1795446997,
    )


def report() -> RunReport:
    """All three hosts."""
    return RunReport(
        run="20261123T120000Z-deploy-a1b2c3",
        verb="deploy",
        started="2026-11-23T12:00:00Z",
        finished="2026-11-23T12:02:10Z",
        toolkit_version="0.1.0",
        git_commit="0123456789ab",
        controller="desk",
        options={"host": "gpu", "check": False, "lock_wait": 0},
        exit_code=5,
        hosts=(measured(), failed(), checked()),
    )
