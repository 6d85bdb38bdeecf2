"""Finds the bridges: every folder here with a ``bridge.py`` that exposes ``BRIDGE``."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from appliance.bridges.errors import BridgeBroken, PlatformUnknown
from appliance.bridges.ports import BridgeFactory


@cache
def bridges() -> Mapping[str, BridgeFactory]:
    """Every kind of platform, by its name. Raises BridgeBroken."""
    found: dict[str, BridgeFactory] = {}
    for file in sorted(Path(__file__).parent.glob("*/bridge.py")):
        module = import_module(f"{__package__}.{file.parent.name}.bridge")
        factory = getattr(module, "BRIDGE", None)
        if not isinstance(factory, BridgeFactory):
            raise BridgeBroken(f"{file.parent.name}/bridge.py exposes no BRIDGE of type BridgeFactory")
        if factory.kind in found:
            raise BridgeBroken(f"two bridges call themselves {factory.kind!r}")
        found[factory.kind] = factory
    return found


def factory_of(kind: str) -> BridgeFactory:
    """Raises PlatformUnknown."""
    factory = bridges().get(kind)
    if factory is None:
        raise PlatformUnknown(f"there is no platform {kind!r}", hint=f"known: {', '.join(bridges())}")
    return factory
