"""The replay engine: SGLang's modules as far as this project uses them, answering what the real one once answered."""

from importlib.metadata import version

__version__ = version("sglang")
