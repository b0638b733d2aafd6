"""accuracy: ask what serves a benchmark's questions, and judge the share of right answers."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet import data_files, job, project
from devstral_fleet.bench import accuracy as judging
from devstral_fleet.bench import asking, baselines, progress, questions
from devstral_fleet.bench.accuracy import AccuracyResult, Answers
from devstral_fleet.bench.command import KEY_VARIABLE
from devstral_fleet.bench.questions import QuestionFile
from devstral_fleet.catalog.accuracy import AccuracyBenchmark
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode, FleetError, VerificationError
from devstral_fleet.redact import redact
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import measuring, proving
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, inventory_directory, inventory_path, targets
from devstral_fleet.workflows.rollout import everywhere
from devstral_fleet.workflows.running import Run

BENCHMARK = "gsm8k"
SHOWN_LINES = 20


@dataclass(frozen=True)
class Wish:
    """What the command line said; '' and 0 leave the choice to the catalog."""

    questions: int = 0
    data: str = ""
    save_baseline: bool = False
    lock_wait_s: int = 0


@dataclass(frozen=True)
class Work:
    """What every host is asked, and where its baselines lie."""

    benchmark: AccuracyBenchmark
    file: QuestionFile
    questions: int
    baselines: Path
    """Directory of the inventory."""


def accuracy(console: Console, ask: Ask, wish: Wish) -> ExitCode:
    """Ask every host that was named, at the same time; one that fails leaves the others alone."""
    found, inventory = targets(ask), inventory_directory(inventory_path(ask))
    measuring.require_readable_baselines(inventory, [target.name for target in found])
    work = prepare(catalogs.load().accuracy[BENCHMARK], wish, inventory, project.CACHE)
    with Run(console, RunDirectory.create(project.runs(), "accuracy"), "accuracy", ask) as run:
        everywhere(run, found, lambda host: accuracy_host(host, run.directory.id, wish, work))
    return run.exit_code


def prepare(benchmark: AccuracyBenchmark, wish: Wish, inventory: Path, cache: Path) -> Work:
    """Find the questions before any host is contacted.

    Raises:
        ConfigurationError: there are none, too few, or too few for the baseline that is wanted.
    """
    file = data_files.find(benchmark, given=wish.data, inventory=inventory, cache=cache)
    number = questions.asked(wish.questions, benchmark.num_questions, file, benchmark.num_shots)
    problem = judging.incomparable(benchmark, number, file.sha256)
    if wish.save_baseline and problem:
        raise ConfigurationError(f"this can be nobody's baseline: {problem}", fix="leave out --questions and --data")
    return Work(benchmark, file, number, inventory)


def accuracy_host(host: Host, run_id: str, wish: Wish, work: Work) -> None:
    """Ask one host under its lock, so that no deploy changes what answers; what serves must be the plan's.

    With --save-baseline the accuracy becomes the baseline, whatever the old one says of it.
    """
    if wish.save_baseline and host.plan.files.source == "weightless":
        what = f"{host.name}: a model without weights cannot give its model's baseline"
        raise ConfigurationError(what, fix="leave out --save-baseline", host=host.name)
    with host.locked(run_id, "accuracy", wish.lock_wait_s):
        proving.compare(host, host.require_serving())
        answers = answered(host, run_id, work)
    result = judge(host, answers, work)
    host.record.known["accuracy"] = (result,)
    if wish.save_baseline:
        path = baselines.save_accuracy(work.baselines, host.name, judging.record(host.name, host.plan, result))
        host.record.console.host(host.name, f"baseline recorded in {path}")
        host.record.outcome = "recorded"
        return
    judging.require(host.name, result)
    if result.state == "no-baseline":
        host.record.known["next_commands"] = (f".venv/bin/invoke accuracy --host {host.name} --save-baseline",)
    host.record.outcome = "measured"


def judge(host: Host, answers: Answers, work: Work) -> AccuracyResult:
    """Judge by what was recorded on the host, else by the catalog."""
    own = baselines.load_accuracy(work.baselines, host.name)
    baseline = judging.choose(host.plan, work.benchmark, own, catalogs.load().accuracy_baselines)
    return judging.judge(host.plan, work.benchmark, answers, work.file.sha256, baseline)


def answered(host: Host, run_id: str, work: Work) -> Answers:
    """Ask the questions beside the engine; nothing of them stays on the host."""
    process = host.service().pid
    job.clear(host.shell, host.layout.jobs)  # of a controller that died while it measured
    try:
        with host.record.phase(f"accuracy {work.benchmark.name}"):
            answers = _one(host, f"{run_id}-{work.benchmark.name}", work)
            host.record.console.result(f"{answers.accuracy:.3f}")
    except BaseException:
        with suppress(FleetError):  # a host that is away must not hide what ended the run
            job.clear(host.shell, host.layout.jobs)
        raise
    job.clear(host.shell, host.layout.jobs)
    measuring.require_same_engine(host, process)
    return answers


def _one(host: Host, job_id: str, work: Work) -> Answers:
    directory = host.layout.jobs / job_id
    data_files.bring(host.shell, work.file, directory / asking.DATA)
    environment = asking.environment(host.plan)
    python = host.python("--user=0", *(f"--env={name}" for name in (*environment, KEY_VARIABLE)))
    words = asking.argv(host.plan, work.benchmark, work.questions, python=python, directory=str(directory))
    key_file = str(host.layout.secrets / "api.key")
    secret = {KEY_VARIABLE: key_file}
    running = job.start(host.shell, directory, words, environment=environment, secret_environment=secret)
    state = job.wait(
        host.shell,
        running,
        deadline_s=work.benchmark.deadline_s,
        clock=time.monotonic,
        sleep=time.sleep,
        on_progress=_shown(host, work.benchmark),
    )
    if state.exit_status != 0:
        lines = redact(state.stderr_tail or state.stdout_tail, (host.api_key(),)).strip().splitlines()[-SHOWN_LINES:]
        raise VerificationError(
            f"{host.name}: the harness ended with exit status {state.exit_status}: {lines[-1] if lines else 'no word'}",
            fix=f".venv/bin/invoke logs --host {host.name}",
            evidence=lines,
            host=host.name,
        )
    return judging.parse(host.shell.run(["cat", running.path(asking.OUTPUT)]).stdout, questions=work.questions)


def _shown(host: Host, benchmark: AccuracyBenchmark) -> Callable[[job.JobState], None]:
    def show(state: job.JobState) -> None:
        host.record.console.step(f"{benchmark.title}: {progress.parse(state.stderr_tail).text}")

    return show
