"""The catalog: models, GPUs, images, engine versions, workloads and baselines, as data."""

from devstral_fleet.catalog.lookup import Catalog, did_you_mean
from devstral_fleet.catalog.reading import load, load_from, read_baselines

__all__ = ["Catalog", "did_you_mean", "load", "load_from", "read_baselines"]
