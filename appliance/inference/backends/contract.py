"""The contract of a backend: one folder for each engine with a ``backend.py`` that exposes ``BACKEND``.

A backend runs engines as processes or containers of their own; none is ever loaded into a process of the box. All of
them speak the OpenAI protocol; what they refuse of it stands in their ``Dialect``.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.hardware.domain import Accelerator, Hardware
from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonObject
from appliance.safety.stop import Level
from appliance.sandbox.ports import Sandbox

Bounds = tuple[int, int] | frozenset[str]
"""Of an option: the least and the most of a whole number, or the words that it may be."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How a model is to be run. ``context`` is the tokens of one conversation, ``slots`` how many run at once."""

    engine: EngineKind
    context: int
    slots: int = 1
    device: str = ""
    """The ``Accelerator.id``; empty: the processor."""
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """The operator's own words to this engine, each from a list that the backend knows."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes: on the device, and of the machine's memory. ``measured``: seen at work, not estimated."""

    device: int
    memory: int
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides how an engine is started; printable, comparable, and what a compose file is written from.

    ``files`` are written for the engine before it starts (its generated YAML), by their name in its working folder.
    ``stall`` is how many seconds it may stay without a sign of progress before it counts as hanging.
    """

    model: Manifest
    folder: Path
    profile: Profile
    footprint: Footprint
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    """The container image by digest; empty: a process."""
    port: int = 0
    """Inside the container; of a process the one that it is given."""
    health: str = "/health"
    stall: float = 300.0
    shared_memory: int = 64 << 20
    """Bytes of ``/dev/shm``, of a container."""
    accelerator: Accelerator | None = None
    """The device of ``profile``, as it is known to container engines."""

    @property
    def digest(self) -> str:
        """64 hexadecimal digits: of two engines with the same one either may serve in the place of the other. What was
        learned about memory meanwhile makes no difference."""
        profile = self.profile
        options = {str(name): value for name, value in profile.options.items()}
        words = [self.model.digest, self.model.name, profile.engine.value, profile.context, profile.slots]
        return sha256_hex([*words, profile.device, options, self.image])


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that was started. ``generation`` fences: what is heard of another generation does not count."""

    name: str
    """``mw-<home>-<model>-g<generation>``: of the container, or of the process's folder."""
    generation: int
    url: str
    """Root of its API, without a slash at the end; empty until it is known."""
    handle: str
    """The container's id or the process's number, for the backend alone."""
    started_at: datetime
    key: str = ""
    """A bearer token that the engine asks for, where it can."""
    model: str = ""
    plan: str = ""
    """``Plan.digest`` of what it was started for, and the model's name: of one that was ``found``."""
    served_as: str = ""
    """What the engine calls the model, where that is not its name on this box."""


class Sign(StrEnum):
    LOADING = "loading"
    READY = "ready"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What can be seen of a started engine. ``progress`` changes while it gets on; one that stays the same has stalled.

    Of one that is gone: ``exit_status`` (negative: minus the signal), whether memory ran out, and ``reason``: the last
    lines of its output in which it says why, for people.
    """

    sign: Sign
    progress: str = ""
    reason: str = ""
    exit_status: int | None = None
    out_of_memory: bool = False
    url: str = ""
    """Where it listens, of an engine that chooses that itself."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Of a living engine; None where it does not say. Counters grow from its start."""

    running: int | None = None
    waiting: int | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    cache_use: float | None = None
    """Of its memory for conversations, 0 to 1."""
    device_memory: int | None = None
    """Of all that run on its device."""
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a backend can run here. ``reason`` and ``hint`` are sentences for people where it cannot."""

    available: bool
    reason: str = ""
    hint: str = ""
    version: str = ""


class Overlong(StrEnum):
    """What becomes of a prompt that is longer than the context."""

    REFUSED = "refused"
    DEADLY = "deadly"
    """Versions of the engine have died of it: it is never sent one."""
    UNKNOWN = "unknown"
    """Somebody else's server, whose own context may be larger."""


def _never(said: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an engine takes. The gateway sends no field that is not in ``fields``, and no value that kills engines.

    ``shape`` rewrites a checked body for this engine (how it wants a JSON schema, say); ``refusal`` makes one sentence
    of an error's body, whatever its form. ``blames_answer``: whether an error that it sends in the middle is about what
    the model said, and the engine is well.
    """

    fields: frozenset[str]
    shape: Callable[[JsonObject], JsonObject]
    refusal: Callable[[int, bytes], str]
    forced_tools: bool = False
    """Whether ``tool_choice`` named or required is enforced; where not, the gateway asks by a JSON schema."""
    prometheus: str = ""
    """Path of its metrics."""
    overlong: Overlong = Overlong.REFUSED
    blames_answer: Callable[[str], bool] = _never


class Backend(Protocol):
    """One engine. Methods raise appliance.inference.errors; none blocks the loop."""

    kind: EngineKind
    formats: frozenset[ModelFormat]
    dialect: Dialect

    async def probe(self) -> Probe: ...

    def plan(
        self, model: Manifest, folder: Path, profile: Profile, hardware: Hardware, learned: Footprint | None
    ) -> Plan:
        """Pure. ``learned`` is what the same model, profile and engine took before. Raises ModelRefused."""
        ...

    async def start(self, plan: Plan, generation: int) -> Running:
        """Make it run; it loads afterwards. The same generation twice is the same engine. Raises EngineAbsent."""
        ...

    async def ready(self, running: Running) -> Readiness: ...

    async def stop(self, running: Running, grace: float) -> None:
        """Ask, wait ``grace`` seconds, kill, remove. One that is gone is fine."""
        ...

    async def stats(self, running: Running) -> Stats: ...

    async def found(self) -> list[Running]:
        """What of this home runs from an earlier life of the box: to be adopted, or ended."""
        ...

    async def close(self) -> None:
        """Let go of everything; an engine that nobody could adopt ends."""
        ...


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a backend is given. ``guard``: the socket of who makes containers; None where there is nobody."""

    home_id: str
    models: Path
    """The model repository."""
    work: Path
    """A folder of its own, for working folders and caches."""
    settings: Mapping[str, str]
    sandbox: Sandbox
    """Where processes run."""
    guard: Path | None = None
    secret: Callable[[str], Awaitable[str]] | None = None
    """The value of a secret of this box, by its name."""
    stopped: Callable[[], Level] | None = None
    """How far everything is stopped."""


@dataclass(frozen=True, slots=True)
class BackendFactory:
    """What a backend's folder exposes as ``BACKEND``."""

    kind: EngineKind
    title: str
    formats: frozenset[ModelFormat]
    build: Callable[[BackendContext], Backend]
    options: Mapping[str, Bounds] = field(default_factory=dict)
    """What an operator may say to it, of whatever version: the plan knows which one it is, and may take less."""
