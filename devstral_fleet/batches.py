"""How many hosts of a rollout are changed at the same time (pure)."""

import math
import re

from devstral_fleet.errors import ConfigurationError

DEFAULT_BATCH = "25%"
"""Three quarters of the hosts answer while the others start a release, however many there are."""
_BATCH = re.compile(r"(\d{1,6})(%?)", re.ASCII)


def batch_size(batch: str, hosts: int) -> int:
    """Return how many of `hosts` make one batch: '3' is three, '25%' a quarter, rounded up; '' is the default.

    Raises:
        ConfigurationError: neither a number nor a percentage, or nothing of it.
    """
    found = _BATCH.fullmatch(batch or DEFAULT_BATCH)
    number = int(found[1]) if found else 0
    if found is None or number == 0 or (found[2] and number > 100):
        raise ConfigurationError(
            f"--batch takes a number of hosts or a percentage of them, not '{batch}'",
            fix="write it as in --batch 3 or --batch 25%",
        )
    return max(1, math.ceil(hosts * number / 100) if found[2] else number)
