"""One endpoint under test: the client, the plan, and the two ways in which a check ends."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.smoke.steering import BIAS, has_random_weights, logit_bias


@dataclass(frozen=True)
class Seen:
    """What a check saw when the endpoint did what it must."""

    summary: str
    evidence: tuple[str, ...]
    state: Literal["ok", "warn"] = "ok"
    fix: str = ""


class CheckFailed(Exception):
    """The endpoint answered, and the answer is wrong. It becomes a finding with state `fail`."""

    def __init__(self, summary: str, evidence: Iterable[str], fix: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.evidence = tuple(evidence)
        self.fix = fix


class OutOfTime(Exception):
    """A stream was still going when the check's time was over."""


@dataclass
class Session:
    """What the checks share. `timeout_s` bounds each request, streams included."""

    client: OpenAI
    plan: DeploymentPlan
    timeout_s: float
    clock: Callable[[], float]

    @property
    def model(self) -> str:
        return self.plan.served_model_name

    @cached_property
    def random_weights(self) -> bool:
        return has_random_weights(self.plan)

    @cached_property
    def call_bias(self) -> dict[str, int]:
        """`logit_bias` for requests that must end in a tool call; {} for trained weights."""
        return self.bias_of(BIAS)

    def bias_of(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """`logit_bias` of texts of one token each; {} for trained weights."""
        if not self.random_weights:
            return {}
        body = {"prompt": list(wanted), "add_special_tokens": False}
        answer = self.client.post("/tokenize", cast_to=object, body=body)
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        if not isinstance(tokens, list) or len(tokens) != len(wanted):
            raise CheckFailed("the endpoint does not tokenize", (f"asked: POST /v1/tokenize {body}", f"came: {answer}"))
        return logit_bias(tokens, wanted)

    def chat(self, request: dict[str, Any]) -> ChatCompletion:
        """POST /v1/chat/completions, whole answer, greedy."""
        answer: ChatCompletion = self.client.chat.completions.create(model=self.model, temperature=0, **request)
        return answer

    def chat_chunks(self, request: dict[str, Any]) -> Iterator[ChatCompletionChunk]:
        """POST /v1/chat/completions, streamed, greedy; ends with OutOfTime after `timeout_s`."""
        deadline = self.clock() + self.timeout_s
        with self.client.chat.completions.create(model=self.model, temperature=0, stream=True, **request) as stream:
            for chunk in stream:
                if self.clock() > deadline:
                    raise OutOfTime
                yield chunk

    def answer_extras(self) -> dict[str, Any]:
        """Body fields for a request that must answer in text: random weights may end before they begin."""
        return {"ignore_eos": True} if self.random_weights else {}

    def call_extras(self) -> dict[str, Any]:
        """Body fields for a request that must answer with a tool call."""
        return {"logit_bias": self.call_bias} if self.call_bias else {}
