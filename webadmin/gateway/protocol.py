"""Every frame of ``/ws/gateway``, version 1: JSON objects, one in each text message, told apart by ``type``.

The JSON schema that clients get (docs/reference/gateway.schema.json) is made from these models. Within a version only
fields with a default and types of frames are added: a client passes over what it does not know.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from appliance.safety.stop import Level

VERSION = 1
SUBPROTOCOL = f"millwright.v{VERSION}"
PREFIX = "token."
"""Before the token where it comes as a subprotocol: a browser can set no header."""

Id = Annotated[str, Field(min_length=1, max_length=100)]
"""The client's own name for what it asks. A command with the same one, sent again within two days, does nothing."""


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hello(_In):
    """The first frame of a client."""

    type: Literal["hello"]
    version: int
    client: Annotated[str, Field(max_length=100)] = ""
    """What it calls itself, for the audit record."""


class HeartbeatIn(_In):
    """The answer to a heartbeat of the box, with its number."""

    type: Literal["heartbeat"]
    n: int


class Subscribe(_In):
    """From now on events of these topics, and no others. ``after``: what came after that cursor first."""

    type: Literal["subscribe"]
    id: Id
    topics: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50)]
    """Types of events, as ``run.changed``; ``run.*`` all that begin so, ``*`` all."""
    after: Annotated[str, Field(max_length=42)] | None = None


class Status(_In):
    type: Literal["status"]
    id: Id


class Run(_In):
    """Start a task."""

    type: Literal["run"]
    id: Id
    task: Annotated[str, Field(max_length=100)]
    vars: dict[str, Any] = Field(default_factory=dict)


class Cancel(_In):
    """End a run."""

    type: Literal["cancel"]
    id: Id
    run: UUID


class Decide(_In):
    """Decide about an approval: its identifier, its code, or what a button carries."""

    type: Literal["approve", "deny"]
    id: Id
    approval: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Annotated[str, Field(max_length=500)] = ""


class Stop(_In):
    """Engage the all-stop. It is released by a person, elsewhere."""

    type: Literal["stop"]
    id: Id
    level: Literal[Level.FREEZE, Level.KILL, Level.CUT, Level.READ_ONLY] = Level.KILL
    reason: Annotated[str, Field(max_length=500)] = ""


class Say(_In):
    """Say something to the box, as in a chat. The answer comes as a ``message``."""

    type: Literal["say"]
    id: Id
    text: Annotated[str, Field(min_length=1, max_length=4000)]


class Ack(_In):
    """A message has arrived: its sender gets the receipt."""

    type: Literal["ack"]
    id: Id
    message: UUID


Command = Status | Run | Cancel | Decide | Stop | Say | Ack
Frame = Hello | HeartbeatIn | Subscribe | Command
FromClient = Annotated[Frame, Field(discriminator="type")]


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class Limits(_Out):
    """``frame``: bytes of a frame to the box; ``rate``: frames a second, after ``burst`` at once; ``sockets``: of one
    token; ``window``: bytes that the box sends ahead of an answered heartbeat; ``patience``: seconds for that."""

    frame: int
    rate: float
    burst: int
    sockets: int
    window: int
    patience: float


class StopState(_Out):
    """The all-stop as it stands; ``none`` where the box may act."""

    level: Level
    epoch: int
    reason: str
    by: str


class Welcome(_Out):
    """The answer to ``hello``. ``cursor`` is the position of now, ``time`` the box's clock, ``scopes`` what the token
    may do where its person may."""

    type: Literal["welcome"] = "welcome"
    version: int = VERSION
    time: datetime
    principal: str
    scopes: list[str]
    cursor: str
    heartbeat: float
    limits: Limits
    allstop: StopState


class Subscribed(_Out):
    """``topics`` will come, ``refused`` are those that the token may not see. ``gap``: what followed the given cursor
    is not kept any more, or it is of another journal; read anew what you need."""

    type: Literal["subscribed"] = "subscribed"
    id: str
    topics: list[str]
    refused: list[str]
    after: str
    gap: bool


class EventOut(_Out):
    cursor: str
    at: datetime
    type: str
    subject: str
    data: dict[str, Any]


class Events(_Out):
    """In the order of the journal, each once. ``cursor`` is where to go on after a loss of the connection."""

    type: Literal["events"] = "events"
    cursor: str
    events: list[EventOut]


class AllStopOut(StopState):
    """The all-stop changed. Comes without being asked for."""

    type: Literal["allstop"] = "allstop"


class ButtonOut(_Out):
    """Whoever presses it says ``data``."""

    label: str
    data: str


class MessageOut(_Out):
    """A message to this client. It comes again after each connection until it is acknowledged."""

    type: Literal["message"] = "message"
    message: UUID
    conversation: str
    at: datetime
    title: str
    text: str
    buttons: list[ButtonOut]
    run: UUID | None


class Result(_Out):
    """A command was done. ``repeated``: earlier, under this very ``id``; this is what was answered then."""

    type: Literal["result"] = "result"
    id: str
    result: dict[str, Any]
    repeated: bool = False


class Error(_Out):
    """``id`` is that of what was refused, where it could be read. ``code`` is stable, the rest is for people.

    ``retry_after``: seconds, where the same may work later. ``fatal``: the box ends the connection now.
    """

    type: Literal["error"] = "error"
    id: str | None
    code: str
    message: str
    hint: str = ""
    retry_after: float | None = None
    fatal: bool = False


class HeartbeatOut(_Out):
    """To be answered with its ``n``. Everything up to ``cursor`` has been sent."""

    type: Literal["heartbeat"] = "heartbeat"
    n: int
    time: datetime
    cursor: str


FromBox = Annotated[
    Welcome | Subscribed | Events | AllStopOut | MessageOut | Result | Error | HeartbeatOut,
    Field(discriminator="type"),
]

FROM_CLIENT: TypeAdapter[Frame] = TypeAdapter(FromClient)
FROM_BOX: TypeAdapter[Any] = TypeAdapter(FromBox)
