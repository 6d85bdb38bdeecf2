"""How any process asks the keeper of models for one: lines of JSON over its Unix socket.

The first line says what is wanted. After a ``Wish`` the client reads ``News`` until ``granted`` or ``refused``. The
lease lasts no longer than the connection: a client that dies gives it back. While it is served it writes ``Beat`` (how
many tokens so far), by which the keeper sees a model that has stopped in the middle; ``Beat.failed`` counts for its
circuit breaker. ``Look`` is answered by one ``View``, ``Order`` by ``Done`` or ``refused``.

One connection carries one lease at a time. With ``Over`` the client gives it back and keeps the connection for the next
line of this kind, which costs the keeper and itself less than another connection.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from appliance.inference.domain import EngineKind, InstanceState, Need, Work
from appliance.lib.priority import Priority

LONGEST_LINE = 64 << 10


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wish(_Line):
    """``model``: one by name (``qwen3-8b``, ``qwen3-8b@4bit``); without it the selection matrix chooses by ``work``."""

    model: str = ""
    work: Work = Work.CHAT
    needs: frozenset[Need] = frozenset()
    priority: Priority = Priority.NORMAL
    deadline: float = Field(default=60.0, gt=0, le=3600)
    """Seconds until an answer is of no use: who cannot be served by then is told at once."""
    tokens: int = Field(default=0, ge=0)
    """Prompt and answer together, estimated from above; 0: not known."""
    principal: str
    kind: Literal["wish"] = "wish"
    pinned: str = ""
    """The digest of the model that it must be, where a run goes on with the one that it began with."""
    candidate: bool = False
    """Of the tests alone: ``model`` is ``name@version`` of one that is not live yet."""


class Chosen(_Line):
    """Which model, and why: ``reason`` is what people see, ``rejected`` each other one of the chain with its own."""

    model: str
    version: str
    digest: str
    engine: EngineKind
    reason: str
    rejected: tuple[tuple[str, str], ...] = ()


class Waiting(_Line):
    kind: Literal["waiting"] = "waiting"
    why: str
    """``queued``, ``loading``, ``evicting``."""
    place: int = 0
    expected: float | None = None
    """Seconds, where they can be known."""


class Granted(_Line):
    kind: Literal["granted"] = "granted"
    lease: str
    url: str
    key: str = ""
    served_name: str
    """What the engine calls the model."""
    context: int
    slots: int
    generation: int
    chosen: Chosen


class RefusedLease(_Line):
    kind: Literal["refused"] = "refused"
    code: str
    """Of appliance.inference.errors."""
    message: str
    hint: str = ""
    retry_after: float | None = None


News = Annotated[Waiting | Granted | RefusedLease, Field(discriminator="kind")]


class Beat(_Line):
    tokens: int = Field(ge=0)
    done: bool = False
    failed: str = ""
    """Why, where the engine failed; a client that went away is no failure."""


class Over(_Line):
    """The lease is given back; the connection stays."""

    kind: Literal["over"] = "over"


class Verb(StrEnum):
    LOAD = "load"
    UNLOAD = "unload"
    FREE = "free"
    """Out of quarantine."""
    REFRESH = "refresh"
    """What is to be served has changed: read it now."""


class Order(_Line):
    """Of a person; whether they may is asked before it comes here."""

    kind: Literal["order"] = "order"
    verb: Verb
    model: str = ""
    principal: str


class Done(_Line):
    kind: Literal["done"] = "done"


class Look(_Line):
    kind: Literal["look"] = "look"


class Seen(_Line):
    """One model, as it is now. Sizes are bytes, times seconds."""

    model: str
    version: str
    digest: str
    engine: EngineKind
    device: str
    state: InstanceState
    reason: str
    progress: str = ""
    for_seconds: float
    generation: int = 0
    in_use: int = 0
    slots: int = 1
    waiting: int = 0
    device_bytes: int = 0
    memory_bytes: int = 0
    measured: bool = False
    load_seconds: float | None = None
    again_in: float = 0.0
    pinned: bool = False
    context: int = 0
    offers: frozenset[Need] = frozenset()
    tokens_per_second: float = 0.0
    """Of all its answers together, in the last seconds."""
    last_speed: float | None = None
    """Of its last whole answer, in tokens a second."""
    barred: str = ""
    """Why nobody gets it, whatever its state: an operator's switch."""
    candidate: bool = False
    """It is being tested; ``model`` is ``name@version``."""


class Space(_Line):
    """Memory of a device, or of the machine where ``device`` is empty."""

    device: str
    total: int
    used: int | None
    free: int
    """What may still be given out."""


class Queued(_Line):
    """One who waits for a model. ``left``: seconds until its deadline; ``rejected`` as of the last look."""

    principal: str
    model: str
    work: Work
    priority: Priority
    why: str
    """As in ``Waiting``; empty where nobody has looked yet."""
    wanted: str = ""
    """The model that it waits for."""
    waited: float
    left: float
    expected: float | None = None
    rejected: tuple[tuple[str, str], ...] = ()


class Outcome(StrEnum):
    """What the keeper decides about whoever asks, and about those who are loaded."""

    GRANTED = "granted"
    FELL_BACK = "fell_back"
    """Granted, and not the first of the chain."""
    WAITED = "waited"
    REFUSED = "refused"
    EVICTED = "evicted"


class Decided(_Line):
    """One decision, with its reason. ``principal`` and ``work`` are empty where nobody's wish was decided about;
    ``times``: how often lately, the last time ``at``."""

    at: datetime
    outcome: Outcome
    model: str
    reason: str
    principal: str = ""
    work: str = ""
    rejected: tuple[tuple[str, str], ...] = ()
    times: int = 1


class View(_Line):
    """``queue`` is the beginning of the line, ``decisions`` the last ones, the newest first."""

    kind: Literal["view"] = "view"
    models: tuple[Seen, ...]
    spaces: tuple[Space, ...]
    waiting: int
    queue: tuple[Queued, ...] = ()
    decisions: tuple[Decided, ...] = ()
    barred: str = ""
    """Why real models are not asked; empty where they are."""


Ask = Annotated[Wish | Order | Look, Field(discriminator="kind")]
Answer = Annotated[News | View | Done, Field(discriminator="kind")]
ASK: TypeAdapter[Wish | Order | Look] = TypeAdapter(Ask)
SERVED: TypeAdapter[Beat | Over] = TypeAdapter(Beat | Over)
"""What a client that has a lease says."""
ANSWER: TypeAdapter[Waiting | Granted | RefusedLease | View | Done] = TypeAdapter(Answer)
