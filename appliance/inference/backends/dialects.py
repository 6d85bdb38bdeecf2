"""The dialects of the engines, without their backends: each folder has its own in ``dialect.py`` as ``DIALECT``."""

import importlib
from functools import cache

from appliance.inference.backends.contract import Dialect
from appliance.inference.domain import EngineKind


@cache
def dialect_of(kind: EngineKind) -> Dialect:
    dialect: Dialect = importlib.import_module(f"appliance.inference.backends.{kind.value}.dialect").DIALECT
    return dialect
