"""How many questions of a benchmark a served model answers right, as values, and whether that is enough."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import Field, ValidationError

from devstral_fleet.catalog.accuracy import AccuracyBaseline, AccuracyBenchmark
from devstral_fleet.errors import PerformanceError, VerificationError
from devstral_fleet.findings import VerdictState
from devstral_fleet.model import Value
from devstral_fleet.plan import DeploymentPlan

PROVENANCE = "measured by sglang.test.few_shot_gsm8k on this host"


class Answers(Value):
    """What the harness says of one run. Shares are of `questions`, 0 to 1."""

    questions: int = Field(gt=0)
    accuracy: float = Field(ge=0, le=1)
    invalid: float = Field(ge=0, le=1)
    """Answers without a number in them."""
    latency: float = Field(gt=0)
    """Seconds from the first question to the last answer."""
    output_throughput: float = Field(ge=0)
    """Tokens a second."""


class AccuracyResult(Value):
    """One run of one accuracy benchmark on one host, and its verdict."""

    benchmark: str
    """Catalog name, such as 'gsm8k'."""
    model: str
    num_shots: int
    num_questions: int
    """Questions asked."""
    correct: int
    invalid: int
    """Answers without a number in them."""
    accuracy: float
    """correct / num_questions, 0 to 1."""
    standard_error: float
    """Of `accuracy`, for so many questions: sqrt(p (1 - p) / n), p being the baseline's where there is one."""
    seconds: float
    output_throughput: float
    """Tokens a second."""
    data_sha256: str
    state: VerdictState
    reason: str
    """Why it is not judged, or by how much it is too low; '' for pass."""
    baseline: str = ""
    """Name of the baseline it was judged by."""
    baseline_accuracy: float | None = None


def parse(text: str, *, questions: int) -> Answers:
    """Read the file that the harness left.

    Raises:
        VerificationError: it is cut or no such file, or fewer questions were answered than asked.
    """
    again = "run the verb again; where it stays, look at the engine's log"
    try:
        found = Answers.model_validate_json(text)
    except ValidationError as error:
        raise VerificationError(
            "the accuracy's result cannot be read", fix=again, evidence=str(error).splitlines()
        ) from error
    if found.questions != questions:
        raise VerificationError(f"{found.questions} of {questions} questions have an answer", fix=again)
    return found


def standard_error(share: float, questions: int) -> float:
    """Of a share of right answers among so many questions: sqrt(p (1 - p) / n)."""
    return math.sqrt(share * (1 - share) / questions)


def choose(
    plan: DeploymentPlan,
    benchmark: AccuracyBenchmark,
    own: Iterable[AccuracyBaseline],
    catalog: Iterable[AccuracyBaseline],
) -> AccuracyBaseline | None:
    """Return the baseline that judges a model: the host's own, else the catalog's; with the same shots if there is one.

    An accuracy is the model's: what hardware the baseline is from does not matter.
    """
    rows = [row for row in (*own, *catalog) if (row.model, row.benchmark) == (plan.model, benchmark.name)]
    return next((row for row in rows if row.num_shots == benchmark.num_shots), rows[0] if rows else None)


def judge(
    plan: DeploymentPlan,
    benchmark: AccuracyBenchmark,
    answers: Answers,
    data_sha256: str,
    baseline: AccuracyBaseline | None,
) -> AccuracyResult:
    """Compare an accuracy with the baseline: it fails when it is further below than the catalog's standard errors."""
    error = standard_error(baseline.accuracy if baseline else answers.accuracy, answers.questions)
    state, reason = _verdict(plan, benchmark, answers, data_sha256, baseline, error)
    return AccuracyResult(
        benchmark=benchmark.name,
        model=plan.model,
        num_shots=benchmark.num_shots,
        num_questions=answers.questions,
        correct=round(answers.accuracy * answers.questions),
        invalid=round(answers.invalid * answers.questions),
        accuracy=answers.accuracy,
        standard_error=error,
        seconds=answers.latency,
        output_throughput=answers.output_throughput,
        data_sha256=data_sha256,
        state=state,
        reason=reason,
        baseline=baseline.name if baseline else "",
        baseline_accuracy=baseline.accuracy if baseline else None,
    )


def _verdict(
    plan: DeploymentPlan,
    benchmark: AccuracyBenchmark,
    answers: Answers,
    data_sha256: str,
    baseline: AccuracyBaseline | None,
    error: float,
) -> tuple[VerdictState, str]:
    problem = incomparable(benchmark, answers.questions, data_sha256)
    if problem:
        return "not-comparable", problem
    if baseline is None:
        return "no-baseline", f"no accuracy of {plan.model} is recorded for {benchmark.title}"
    if baseline.num_shots != benchmark.num_shots:
        return "not-comparable", f"{benchmark.num_shots} shots, the baseline's are {baseline.num_shots}"
    least = baseline.accuracy - benchmark.standard_errors * error
    if answers.accuracy >= least:
        return "pass", ""
    limit = f"{benchmark.standard_errors:g} standard errors of {error:.4f} for {answers.questions} questions"
    return (
        "fail",
        f"accuracy is {answers.accuracy:.3f}, the baseline's {baseline.accuracy:.3f} allows {least:.3f} ({limit})",
    )


def incomparable(benchmark: AccuracyBenchmark, questions: int, data_sha256: str) -> str:
    """Say why an accuracy compares with no other, whatever it is; '' where it does."""
    if data_sha256 != benchmark.sha256:
        return f"another data file than {benchmark.title}'s (SHA-256 {data_sha256[:12]}...)"
    if questions < benchmark.least_judged_questions:
        return f"too few to judge: {questions} questions, at least {benchmark.least_judged_questions} are needed"
    return ""


def require(host: str, result: AccuracyResult) -> None:
    """Raise PerformanceError where the verdict is `fail`."""
    if result.state == "fail":
        raise PerformanceError(
            f"{host}: answers worse than its baseline: {result.reason}",
            fix=f"if this is what to expect: .venv/bin/invoke accuracy --host {host} --save-baseline",
            host=host,
        )


def record(host: str, plan: DeploymentPlan, result: AccuracyResult, *, now: datetime | None = None) -> AccuracyBaseline:
    """Make a baseline of an accuracy that compares with others."""
    return AccuracyBaseline(
        name=f"{host}-{plan.model}",
        accelerator=plan.accelerator,
        hardware=plan.hardware,
        gpu_count=len(plan.gpus),
        model=plan.model,
        benchmark=result.benchmark,
        num_shots=result.num_shots,
        num_questions=result.num_questions,
        accuracy=result.accuracy,
        invalid=result.invalid / result.num_questions,
        latency_s=result.seconds,
        output_throughput=result.output_throughput,
        provenance=PROVENANCE,
        recorded=(now or datetime.now(UTC)).date().isoformat(),
    )
