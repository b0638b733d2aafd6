"""Invoke's root: names the collections of devstral_fleet.cli. No logic."""

from devstral_fleet.cli import namespace

ns = namespace()
