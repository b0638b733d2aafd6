"""Steering a model of random weights through a tool call's grammar.

With `tool_choice: required` and a strict schema the engine's grammar writes the call, whatever the weights are. Random
weights only never end one: they pad with white space and never close a string. So the tokens that end things get a
logit bias, the more final the larger. The engine's own `/v1/tokenize` gives their ids, so no tokenizer is needed here.
"""

from collections.abc import Mapping, Sequence

from devstral_fleet.plan import DeploymentPlan

BIAS: Mapping[str, int] = {"</s>": 100, '"': 90, "}": 80, "]": 80, ":": 70, ",": 60}
"""Text of one token -> its bias. A string ends before an object, an object before a list, and the answer before all."""

DEEP_BIAS: Mapping[str, int] = {**BIAS, "{": 50, "[": 50}
"""For arguments that have objects and lists in them: those begin at once, too."""


def has_random_weights(plan: DeploymentPlan) -> bool:
    """Tell whether the planned weights are noise: made on the host, or SGLang's dummy loader."""
    pairs = zip(plan.arguments, plan.arguments[1:], strict=False)
    dummy = ("--load-format", "dummy") in pairs or "--load-format=dummy" in plan.arguments
    return dummy or plan.files.source != "hub"


def logit_bias(token_ids: Sequence[Sequence[int]], wanted: Mapping[str, int] = BIAS) -> dict[str, int]:
    """Make the request's `logit_bias` from the token ids of the wanted texts, in their order.

    A text that is several tokens in this vocabulary gets no bias: its first token may begin other texts.
    """
    return {str(ids[0]): bias for ids, bias in zip(token_ids, wanted.values(), strict=True) if len(ids) == 1}
