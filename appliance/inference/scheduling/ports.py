"""What the keeper is given, and what it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from appliance.inference.backends.contract import Footprint, Profile, Running
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import InstanceState, Need
from appliance.inference.leases import Wish

WENT_FOR = " needs the memory"
"""How the reason ends of one that had to go for another model."""


def key_of_candidate(manifest: Manifest) -> str:
    return f"{manifest.name}@{manifest.version}"


@dataclass(frozen=True, slots=True)
class Served:
    """A model as it is to be served: its live version, and how. ``keep_alive``: seconds without use; None: for ever."""

    manifest: Manifest
    folder: Path
    profile: Profile
    keep_alive: float | None = 600.0
    candidate: bool = False
    """It is being tested: it has a key of its own, by which nobody gets it but its tests."""

    @property
    def name(self) -> str:
        """What it is known by to the keeper. A live model's name never has an ``@``."""
        return key_of_candidate(self.manifest) if self.candidate else self.manifest.name

    @property
    def can(self) -> frozenset[Need]:
        """What it offers beyond text. A JSON schema every engine of ours enforces."""
        if self.manifest.embeddings:
            return frozenset({Need.EMBEDDINGS})
        return frozenset({Need.JSON, Need.TOOLS} if self.manifest.tools else {Need.JSON})


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an instance's state, for the record and for screens."""

    model: str
    version: str
    generation: int
    state: InstanceState
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Learned:
    """What a model took at work, and how long it took to load, by model, version, engine and profile."""

    footprint: Footprint | None
    load_seconds: float | None


class Shelf(Protocol):
    """What is to be served, and for which work; read anew when it has changed."""

    async def served(self) -> Sequence[Served]: ...

    def chain(self, wish: Wish) -> Sequence[str]:
        """The names of the models for a wish, the best first. Raises ModelUnknown."""
        ...


class Ledger(Protocol):
    """What is kept of the keeper's decisions."""

    async def next_generation(self) -> int: ...

    async def changed(self, change: Change) -> None: ...

    async def learned(self, served: Served) -> Learned: ...

    async def learn(self, served: Served, learned: Learned) -> None: ...


class Trial(Protocol):
    """A real completion, as small as can be: an engine may say that it is well and not be."""

    async def completes(self, served: Served, running: Running) -> str:
        """Empty where an answer came; else what went wrong, in words."""
        ...
