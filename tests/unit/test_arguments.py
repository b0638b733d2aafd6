"""SGLang's arguments, compared whole."""

from dataclasses import replace

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.arguments import Launch, arguments, environment, unknown_flags

PLAIN = Launch(
    model_path="/srv/models/one",
    served_model_name="one",
    listen="127.0.0.1",
    port=30000,
    context_length=32768,
    tp=1,
    mem_fraction_static=None,
    max_total_tokens=None,
    kv_cache_dtype="auto",
    load_format="auto",
    tool_call_parser="",
)


def test_the_least_that_is_said() -> None:
    assert " ".join(arguments(PLAIN)) == (
        "--model-path /srv/models/one --served-model-name one --host 127.0.0.1 --port 30000"
        " --context-length 32768 --enable-metrics"
    )


def test_all_that_can_be_said() -> None:
    launch = replace(
        PLAIN,
        tp=4,
        mem_fraction_static=0.82,
        max_total_tokens=65536,
        kv_cache_dtype="fp8_e4m3",
        load_format="dummy",
        tool_call_parser="mistral",
        extra=("--device", "cpu"),
    )
    assert " ".join(arguments(launch)) == (
        "--model-path /srv/models/one --served-model-name one --host 127.0.0.1 --port 30000 --context-length 32768"
        " --tp 4 --mem-fraction-static 0.82 --max-total-tokens 65536 --kv-cache-dtype fp8_e4m3 --load-format dummy"
        " --tool-call-parser mistral --device cpu --enable-metrics"
    )


@pytest.mark.parametrize(("words", "version", "unknown"), [
    (("--context-length", "1"), "0.5.20", []),
    (("--cuda-graph-max-bs", "8"), "0.5.20", ["--cuda-graph-max-bs"]),
    (("--cuda-graph-max-bs=8",), "0.5.18", []),
    (("--cuda-graph-max-bs-decode=8", "--fly"), "0.5.13.post1", ["--cuda-graph-max-bs-decode", "--fly"]),
])  # fmt: skip
def test_flags_that_a_version_does_not_have(words: tuple[str, ...], version: str, unknown: list[str]) -> None:
    assert unknown_flags(words, catalogs.load().engines, version) == unknown


def test_later_layers_of_the_environment_win() -> None:
    merged = environment({"B": "1", "A": "1"}, {}, {"B": "2"})
    assert list(merged.items()) == [("A", "1"), ("B", "2")]
