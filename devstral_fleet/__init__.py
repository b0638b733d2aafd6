"""Devstral Fleet: from a bare GPU host in an inventory to a verified, measured Devstral 2 endpoint on SGLang."""

__version__ = "0.1.0"
