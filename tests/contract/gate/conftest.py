"""The engine of the runs' tests: what is walked here must pass the gate that runs pass."""

from tests.integration.runs.conftest import clean, engine, pool, silent_hints
from tests.integration.runs.reflex.conftest import reactor

__all__ = ["clean", "engine", "pool", "reactor", "silent_hints"]
