"""A name and a version for what asks whether transformers is here. There is no transformers in the replay engine."""

from importlib.metadata import version

__version__ = version("transformers")
