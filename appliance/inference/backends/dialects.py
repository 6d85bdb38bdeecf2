"""What each engine takes, without its backend: for whoever has a lease and asks."""

from functools import cache
from importlib import import_module

from appliance.inference.backends.contract import Dialect
from appliance.inference.domain import EngineKind


@cache
def dialect_of(engine: EngineKind) -> Dialect:
    """The ``DIALECT`` of the engine's folder."""
    found: Dialect = import_module(f"{__package__}.{engine.value}.dialect").DIALECT
    return found
