"""What a job did, in short: each program and each address once, with how often. Bounded, whatever the job does."""

from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from appliance.sandbox.ebpf.events import Event, Hook, Kind

K = TypeVar("K")

CUT = Hook.CUT.name.lower()

MOST = 100
"""Distinct programs, and distinct addresses, that are kept of one job."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Executed(_Closed):
    """A program as it was named when it was executed."""

    path: str
    count: int


class Contact(_Closed):
    """An address that the job tried to reach; ``by`` is where the kernel saw it: connect, send or egress; or ``cut``,
    where only the all-stop kept it from there."""

    address: str
    port: int
    protocol: str
    by: str
    denied: bool
    count: int

    @property
    def where(self) -> str:
        place = f"[{self.address}]" if ":" in self.address else self.address
        return f"{place}:{self.port}" if self.port else place


class Refusal(_Closed):
    """A socket or a device that the job did not get."""

    what: str
    count: int


class Observed(_Closed):
    """The record of one job. ``more`` counts what was distinct beyond the bound; ``lost``, events that the kernel
    had no room for; ``ended``, processes that ended."""

    executed: tuple[Executed, ...] = ()
    contacts: tuple[Contact, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    ended: int = 0
    more: int = 0
    lost: int = 0


@dataclass(slots=True)
class Record:
    """Takes a job's events while it runs."""

    _executed: dict[str, int] = field(default_factory=dict)
    _contacts: dict[tuple[str, int, str, str, bool], int] = field(default_factory=dict)
    _refusals: dict[str, int] = field(default_factory=dict)
    _told: set[tuple[str, int, str, bool]] = field(default_factory=set)
    _ended: int = 0
    _more: int = 0

    def take(self, event: Event) -> None:
        if event.kind is Kind.EXEC:
            self._count(self._executed, event.name)
        elif event.kind is Kind.EXIT:
            self._ended += 1
        elif event.kind is Kind.CONTACT:
            self._contact(event)
        elif event.kind is Kind.SOCKET:
            self._count(self._refusals, _socket(event))
        else:
            self._count(self._refusals, f"device {event.family}:{event.code}")

    def observed(self, lost: int = 0) -> Observed:
        return Observed(
            executed=tuple(Executed(path=path, count=count) for path, count in self._executed.items()),
            contacts=tuple(
                Contact(address=a, port=p, protocol=protocol, by=by, denied=denied, count=count)
                for (a, p, protocol, by, denied), count in self._contacts.items()
            ),
            refusals=tuple(Refusal(what=what, count=count) for what, count in self._refusals.items()),
            ended=self._ended,
            more=self._more,
            lost=lost,
        )

    def _contact(self, event: Event) -> None:
        """The first packet of what was connected, or sent, is no contact of its own."""
        place = (str(event.address), event.port, event.protocol_name, event.denied)
        if event.hook == Hook.EGRESS and place in self._told:
            return
        if event.hook != Hook.EGRESS and len(self._told) < MOST:
            self._told.add(place)
        address, port, protocol, denied = place
        self._count(self._contacts, (address, port, protocol, Hook(event.hook).name.lower(), denied))

    def _count(self, table: dict[K, int], key: K) -> None:
        if key in table:
            table[key] += 1
        elif len(table) < MOST:
            table[key] = 1
        else:
            self._more += 1


def _socket(event: Event) -> str:
    kinds = {1: "stream", 2: "datagram", 3: "raw", 5: "packet"}
    kind = kinds.get(event.code, f"type {event.code}")
    return f"{kind} socket" + (f" for {event.protocol_name}" if event.protocol else "")
