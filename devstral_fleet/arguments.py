"""The words after `python -m sglang.launch_server`, and the engine's environment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from devstral_fleet.catalog.engines import Engines


@dataclass(frozen=True)
class Launch:
    """What the command line of one engine is made from."""

    model_path: str
    served_model_name: str
    listen: str
    port: int
    context_length: int
    tp: int
    mem_fraction_static: float | None
    max_total_tokens: int | None
    kv_cache_dtype: str
    load_format: str
    tool_call_parser: str
    """'' for no tool calling."""
    nodes: int = 0
    """Hosts that serve together, 0 for one alone."""
    rank: int = 0
    nodes_address: str = ""
    extra: tuple[str, ...] = ()
    """Flags of the native environment, of models that see pictures, and of profiles."""


def arguments(launch: Launch) -> tuple[str, ...]:
    """Return SGLang's arguments; none of them is a secret."""
    optional = {
        "--tp": str(launch.tp) if launch.tp > 1 else None,
        "--mem-fraction-static": f"{launch.mem_fraction_static:g}" if launch.mem_fraction_static else None,
        "--max-total-tokens": str(launch.max_total_tokens) if launch.max_total_tokens else None,
        "--kv-cache-dtype": launch.kv_cache_dtype if launch.kv_cache_dtype != "auto" else None,
        "--load-format": launch.load_format if launch.load_format != "auto" else None,
        "--tool-call-parser": launch.tool_call_parser or None,
    }
    several = (
        *("--nnodes", str(launch.nodes), "--node-rank", str(launch.rank)),
        *("--dist-init-addr", launch.nodes_address),
    )
    return (
        *("--model-path", launch.model_path, "--served-model-name", launch.served_model_name),
        *("--host", launch.listen, "--port", str(launch.port)),
        *("--context-length", str(launch.context_length)),
        *(word for flag, value in optional.items() if value is not None for word in (flag, value)),
        *(several if launch.nodes else ()),
        *launch.extra,
        "--enable-metrics",
    )


def unknown_flags(words: Iterable[str], engines: Engines, version: str) -> list[str]:
    """Return the flags that this SGLang version does not accept."""
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [flag for flag in flags if not engines.accepts(version, flag)]


def environment(*layers: Mapping[str, str]) -> dict[str, str]:
    """Merge layers of environment variables, later ones win; sorted, so that equal plans are equal text."""
    merged = {name: value for layer in layers for name, value in layer.items()}
    return dict(sorted(merged.items()))
