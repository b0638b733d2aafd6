"""Schema of what a start of the engine is judged by, in workloads.yml."""

from pydantic import Field

from devstral_fleet.model import Value


class StartRules(Value):
    """When a start counts as slow."""

    slow_factor: float = Field(gt=1)
    """It took more than so many times the median of the earlier ones."""
    minimum: int = Field(gt=0)
    """So many earlier starts of the same model, runtime and hardware are needed to say so."""
