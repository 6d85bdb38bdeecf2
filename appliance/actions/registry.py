"""Finds every action kind: one class in each module of this package and of ``<area>/actions/``."""

import importlib
import importlib.util
import inspect
import pkgutil
from functools import cache

import appliance
from appliance.actions.contract import ActionKind, Kind, SplitKind

_NOT_KINDS = frozenset({"contract", "registry"})


def _modules() -> list[str]:
    names = [f"appliance.actions.{m.name}" for m in pkgutil.iter_modules(_path("appliance.actions"))]
    for area in pkgutil.iter_modules(appliance.__path__):
        if area.name != "actions" and importlib.util.find_spec(f"appliance.{area.name}.actions"):
            package = f"appliance.{area.name}.actions"
            names += [f"{package}.{m.name}" for m in pkgutil.iter_modules(_path(package))]
    return [name for name in names if name.rpartition(".")[2] not in _NOT_KINDS]


def _path(package: str) -> list[str]:
    return list(importlib.import_module(package).__path__)


@cache
def registry() -> dict[str, Kind]:
    """Every kind by its name."""
    found: dict[str, Kind] = {}
    for module in _modules():
        for _, member in inspect.getmembers(importlib.import_module(module), inspect.isclass):
            if (
                issubclass(member, ActionKind | SplitKind)
                and member.__module__ == module
                and not inspect.isabstract(member)
            ):
                found[member.name] = member()
    return found


def written_kinds() -> dict[str, Kind]:
    """Those that a task file may name."""
    return {name: kind for name, kind in registry().items() if kind.for_authors}
