"""Finds the backends: every folder here with a ``backend.py`` that exposes ``BACKEND``."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from appliance.inference.backends.contract import Backend, BackendContext, BackendFactory
from appliance.inference.domain import EngineKind
from appliance.inference.errors import EngineAbsent
from appliance.lib.errors import MillwrightError


class BackendBroken(MillwrightError):
    """A folder that is no backend."""

    code = "model.backend_broken"


@cache
def backends() -> Mapping[EngineKind, BackendFactory]:
    """Every engine that this version knows. Raises BackendBroken."""
    found: dict[EngineKind, BackendFactory] = {}
    for file in sorted(Path(__file__).parent.glob("*/backend.py")):
        factory = getattr(import_module(f"{__package__}.{file.parent.name}.backend"), "BACKEND", None)
        if not isinstance(factory, BackendFactory):
            raise BackendBroken(f"{file.parent.name}/backend.py exposes no BACKEND of type BackendFactory")
        if factory.kind in found:
            raise BackendBroken(f"two backends call themselves {factory.kind.value!r}")
        found[factory.kind] = factory
    return found


def factory_of(kind: EngineKind) -> BackendFactory:
    """Raises EngineAbsent."""
    factory = backends().get(kind)
    if factory is None:
        known = ", ".join(one.value for one in backends())
        raise EngineAbsent(f"this version has no engine {kind.value!r}", hint=f"known: {known}")
    return factory


def build(context: BackendContext) -> Mapping[EngineKind, Backend]:
    """One of each; whoever builds them closes them."""
    return {kind: factory.build(context) for kind, factory in backends().items()}
