"""A start from nothing to the first token, stage by stage, as values."""

from typing import Literal

from devstral_fleet.model import Value

Source = Literal["toolkit", "engine"]
"""Who timed a stage: our own clock on the controller, or the engine's log on its host."""


class Stage(Value):
    """One stage: 'install', 'image', 'weights', 'process', 'load', 'kv-cache', 'graphs', 'warm-up', 'first token'."""

    name: str
    offset_s: float
    """Seconds since the first stage began."""
    seconds: float
    source: Source


class Startup(Value):
    """One start of a release."""

    release: str
    started: str
    """UTC, ISO 8601."""
    stages: tuple[Stage, ...]
    """In the order in which they began."""
    ready_s: float
    """From the start of the process until the engine answered its health check."""
