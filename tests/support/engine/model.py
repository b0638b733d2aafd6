"""A model directory for the replay engine: what it reads of one, without weights."""

import json
from pathlib import Path


def write_model(directory: Path, *, context_length: int) -> Path:
    """Write `config.json` of a model with `context_length` positions; return the directory."""
    directory.mkdir(parents=True)
    config = {"model_type": "mistral3", "text_config": {"max_position_embeddings": context_length}}
    (directory / "config.json").write_text(json.dumps(config))
    return directory
