"""The accuracy benchmark's command: SGLang's own harness beside the engine, as a value."""

from collections.abc import Sequence
from pathlib import Path

from devstral_fleet.bench import command
from devstral_fleet.catalog.accuracy import AccuracyBenchmark
from devstral_fleet.plan import DeploymentPlan

PROGRAM = Path(__file__).parent / "on_host" / "gsm8k.py"
DATA, OUTPUT = "data.jsonl", "result.json"
"""Files of the job: the questions, and what is said of the answers."""


def argv(
    plan: DeploymentPlan, benchmark: AccuracyBenchmark, questions: int, *, python: Sequence[str], directory: str
) -> tuple[str, ...]:
    """Return the words of one run.

    Args:
        python: words that start the engine's own interpreter.
        directory: the job's, as the engine's interpreter sees it too.
    """
    numbers = (
        plan.port,
        benchmark.num_shots,
        questions,
        benchmark.max_new_tokens,
        benchmark.parallel[plan.accelerator],
    )
    address = plan.listen if plan.image is None else "127.0.0.1"
    files = (f"{directory}/{DATA}", f"{directory}/{OUTPUT}")
    return (*python, "-c", PROGRAM.read_text(), *files, address, *map(str, numbers))


def environment(plan: DeploymentPlan) -> dict[str, str]:
    """Return the run's environment: the benchmark's, and UTF-8 for the questions whatever the host's language is."""
    return {**command.environment(plan), "PYTHONUTF8": "1"}
