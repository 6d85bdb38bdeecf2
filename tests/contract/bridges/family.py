"""What the suite needs of a bridge and its platform. A new platform adds one file under ``members``."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.bridges.ports import Bridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import MemoryInbox


@dataclass(frozen=True)
class Call:
    """An HTTP request of the platform on the box's webhook path."""

    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str]
    method: str = "POST"


class Member(ABC):
    """A bridge with what stands in for its platform, from the time when it was entered."""

    kind: str
    conversation: str
    bridge: Bridge

    @abstractmethod
    async def seen(self) -> Sequence[str]:
        """Every text that people see now, titles included, oldest first."""

    @abstractmethod
    def said(self, text: str) -> JsonObject:
        """An event of the person ``7`` writing in the conversation."""


class Remote(Member):
    """One whose platform is elsewhere: a stand-in server plays it."""

    secrets: tuple[str, ...]
    """Every value that may stand in no log and in no error."""
    patience_exact: bool = True
    """Whether the platform says how long to wait."""

    editable: Mapping[str, Any] = {}
    """What a message must have so that the platform can edit it: some change only what has buttons."""

    @abstractmethod
    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        """Another bridge to the same platform, with these keys beside its own: ``proxy``, ``root`` (its address)."""

    @abstractmethod
    def ask_for_patience(self, seconds: int) -> None:
        """The next message is answered so."""

    @abstractmethod
    def revoke(self) -> None:
        """The token or the secret is refused from now on."""

    @abstractmethod
    def break_down(self, status: int) -> None:
        """The next message is answered with this HTTP status; 0: the connection ends without an answer."""

    @abstractmethod
    def pressed(self, data: str) -> JsonObject:
        """An event of the person ``7`` pressing a button."""

    @abstractmethod
    def buttons(self) -> list[tuple[str, str]]:
        """Label and data of those under the last message."""

    def files(self) -> list[tuple[str, bytes]]:
        """Name and content of every file that arrived."""
        return []

    def call(self, text: str, *, at: float | None = None, secret: str | None = None) -> Call | None:
        """The person ``7`` writes, by webhook, signed with ``secret`` at the time ``at``; None: it has none."""
        return None

    old_is_refused: bool = True
    """Whether what a webhook says proves when it was said."""
