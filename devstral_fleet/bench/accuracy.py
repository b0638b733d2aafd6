"""How many questions of a benchmark a served model answers right, as values."""

from devstral_fleet.findings import VerdictState
from devstral_fleet.model import Value


class AccuracyResult(Value):
    """One run of one accuracy benchmark on one host, and its verdict."""

    benchmark: str
    """Catalog name, such as 'gsm8k'."""
    model: str
    num_shots: int
    num_questions: int
    """Questions asked."""
    correct: int
    invalid: int
    """Answers without a number in them."""
    accuracy: float
    """correct / num_questions, 0 to 1."""
    standard_error: float
    """Of `accuracy`, for so many questions: sqrt(p (1 - p) / n), p being the baseline's where there is one."""
    seconds: float
    output_throughput: float
    """Tokens a second."""
    data_sha256: str
    state: VerdictState
    reason: str
    """Why it is not judged, or by how much it is too low; '' for pass."""
    baseline: str = ""
    """Name of the baseline it was judged by."""
    baseline_accuracy: float | None = None
