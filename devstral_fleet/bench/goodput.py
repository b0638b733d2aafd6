"""How much of a measurement met the objective that its workload has, as values."""

from collections.abc import Sequence
from statistics import median

from pydantic import Field

from devstral_fleet.errors import ConfigurationError
from devstral_fleet.model import Value


class Objective(Value):
    """What a request must keep to be good: a service objective."""

    ttft_ms: float = Field(gt=0, allow_inf_nan=False)
    """Time to its first token, at most."""
    tpot_ms: float = Field(gt=0, allow_inf_nan=False)
    """Mean time of each token after the first, at most."""


class RequestTimes(Value):
    """What one answered request took."""

    ttft_ms: float
    tpot_ms: float
    """Mean of the times between its tokens; 0 of an answer of one token."""

    def keeps(self, objective: Objective) -> bool:
        return self.ttft_ms <= objective.ttft_ms and self.tpot_ms <= objective.tpot_ms


class Answered(Value):
    """The requests of one repeat."""

    asked: int
    seconds: float
    """How long the repeat took."""
    requests: tuple[RequestTimes, ...]
    """Those that got an answer."""


class Goodput(Value):
    """The requests of a point, over all its repeats, that met the objective."""

    objective: Objective
    good_percent: float
    """Of the requests asked for; one without an answer is not good."""
    requests_per_s: float
    """Good requests a second, the median of the repeats."""


def goodput(objective: Objective | None, repeats: Sequence[Answered]) -> Goodput | None:
    """Count the good requests; None without an objective, and where a repeat did not say what its requests took."""
    if objective is None or not all(repeat.requests for repeat in repeats):
        return None
    good = [sum(request.keeps(objective) for request in repeat.requests) for repeat in repeats]
    return Goodput(
        objective=objective,
        good_percent=sum(good) / sum(repeat.asked for repeat in repeats) * 100,
        requests_per_s=median(count / repeat.seconds for count, repeat in zip(good, repeats, strict=True)),
    )


def objective(text: str) -> Objective | None:
    """Read '2000:50', milliseconds to the first token and for each one after it; None for ''.

    Raises:
        ConfigurationError: it is something else.
    """
    if not text:
        return None
    ttft, _, tpot = text.partition(":")
    try:
        return Objective(ttft_ms=float(ttft), tpot_ms=float(tpot))
    except ValueError as error:
        raise ConfigurationError(
            f"--objective '{text}' is no pair of milliseconds above 0", fix="--objective 2000:50"
        ) from error
