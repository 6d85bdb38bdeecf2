"""How any process asks the keeper of models for one: lines of JSON over its Unix socket.

A client connects, writes one ``Wish``, and reads ``News`` until ``granted`` or ``refused``. The lease lasts as long as
the connection: a client that dies gives it back. While it is served it writes ``Beat`` lines (the first token, how many
so far), by which the keeper sees a model that has stopped in the middle; ``Beat.failed`` counts for its circuit
breaker.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from appliance.inference.domain import EngineKind, Need, Work
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
    pinned: str = ""
    """The digest of the model that it must be, where a run goes on with the one that it began with."""


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
