"""What the gateway is given by who puts the box together."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from appliance.inference.backends.contract import Dialect
from appliance.inference.client import Lease
from appliance.inference.domain import EngineKind
from appliance.inference.leases import View, Waiting, Wish

Dialects = Callable[[EngineKind], Dialect]
CutOff = Callable[[], Awaitable[bool]]
"""Whether the all-stop lets nothing leave the box."""


class Keeper(Protocol):
    """``appliance.inference.client.KeeperClient``."""

    def lease(
        self, wish: Wish, on_wait: Callable[[Waiting], None] | None = None
    ) -> AbstractAsyncContextManager[Lease]: ...

    async def look(self) -> View: ...
