"""Who uses a connection to the broker, and is told what comes of it."""

from typing import TYPE_CHECKING, Protocol

from appliance.bus.packets import Incoming

if TYPE_CHECKING:
    from appliance.bus.connection import Connection


class Owner(Protocol):
    """Who is told what comes in. An exception of its methods is logged and counted, never more."""

    def accepted(self, connection: "Connection", session_present: bool) -> None:
        """Logged in. Messages of the session may follow before `Connection.open` returns."""
        ...

    def received(self, connection: "Connection", message: Incoming) -> None: ...

    def failed(self, what: str) -> None: ...

    def ended(self) -> None: ...
