"""Base of every value that crosses a file: frozen, strict, no unknown keys."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen value with a strict schema. Unknown keys are errors, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())
