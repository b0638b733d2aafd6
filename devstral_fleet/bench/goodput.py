"""How much of a measurement met the objective that its workload has, as values."""

from devstral_fleet.model import Value


class Objective(Value):
    """What a request must keep to be good: a service objective."""

    ttft_ms: float
    """Time to its first token, at most."""
    tpot_ms: float
    """Mean time of each token after the first, at most."""


class Goodput(Value):
    """The requests of a point, over all its repeats, that met the objective."""

    objective: Objective
    good_percent: float
    """Of the requests asked for; one without an answer is not good."""
    requests_per_s: float
    """Good requests a second, the median of the repeats."""
