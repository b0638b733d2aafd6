"""Schema of hub.yml."""

from pydantic import Field

from devstral_fleet.model import Value


class Hub(Value):
    """Where models' files come from, and how patient a download is."""

    endpoint: str
    attempts: int = Field(gt=0)
    """At one file."""
    longest_wait_s: int = Field(gt=0)
    """Seconds between two attempts."""
    deadline_s: int = Field(gt=0)
    """Seconds that all files of a model may take."""
    reserve_gib: float = Field(ge=0)
    """Space that stays free beside the files."""
    revision: str
    """What a pin asks for."""
