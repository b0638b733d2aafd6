import json

from devstral_fleet.bench.command import KEY_VARIABLE, argv, environment
from tests.unit.bench_samples import CHAT, plan

MODEL = "/opt/devstral-fleet/models/devstral-small-2-abc123"


def test_the_whole_command() -> None:
    words = argv(plan(), CHAT, CHAT.points[1], python=("/env/bin/python",), output_file="/jobs/1/result.jsonl")
    assert words == (
        *("/env/bin/python", "-m", "sglang.bench_serving", "--backend", "sglang"),
        *("--host", "127.0.0.1", "--port", "30000"),
        *("--model", MODEL, "--tokenizer", MODEL),
        *("--dataset-name", "random-ids"),
        *("--random-input-len", "1000", "--random-output-len", "1000", "--random-range-ratio", "0.0"),
        *("--seed", "1", "--num-prompts", "80", "--max-concurrency", "16", "--request-rate", "inf"),
        *("--warmup-requests", "16"),
        *("--output-file", "/jobs/1/result.jsonl", "--output-details"),
    )


def test_details_are_written_only_where_an_objective_is_judged_by_them() -> None:
    without = CHAT.model_copy(update={"objective": None})
    assert "--output-details" not in argv(plan(), without, CHAT.points[1], python=("python3",), output_file="x")


def test_a_repeat_keeps_out_of_the_last_ones_prefix_cache() -> None:
    words = argv(plan(), CHAT, CHAT.points[0], python=("python3",), output_file="x", cache_key="run-7-2")
    assert json.loads(words[words.index("--extra-request-body") + 1]) == {"extra_key": "run-7-2"}


def test_the_key_is_named_and_not_carried() -> None:
    words = argv(plan(), CHAT, CHAT.points[0], python=("python3",), output_file="x")
    assert KEY_VARIABLE == "OPENAI_API_KEY"
    assert KEY_VARIABLE not in environment(plan())
    assert not [word for word in words if "key" in word.lower()]


def test_the_environment_is_the_engines() -> None:
    assert environment(plan()) == {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
