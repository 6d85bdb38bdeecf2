"""The gateway of models, and a real keeper, before an engine that obeys; no database, no web process."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from appliance.accounts.domain import Ability, Role
from appliance.accounts.principal import Principal
from appliance.inference.backends.contract import Dialect, Plan, Running
from appliance.inference.backends.llamacpp.dialect import DIALECT
from appliance.inference.client import KeeperClient
from appliance.inference.domain import EngineKind
from appliance.inference.gateway.access import Access
from appliance.inference.gateway.application import Gateway
from appliance.inference.gateway.engine import Engines
from appliance.inference.gateway.meter import Counts, Limit, Meter, Use
from appliance.inference.gateway.opening import Openings
from appliance.inference.gateway.serving import Serving
from appliance.inference.scheduling.ports import Served
from appliance.inference.scheduling.server import KeeperServer
from appliance.lib.clock import ManualClock
from tests.engine_room import EngineRoom, Room, served
from tests.standins.model_engine import EngineStandin
from tests.wait import wait_for_async

ANN = Principal("token:ann/bot", Role.OPERATOR, scopes=frozenset({Ability.USE_MODELS}))
MESSAGES = [{"role": "user", "content": "hi"}]


class Elsewhere(EngineRoom):
    """All models are served by the engine at ``url``, but those that are somewhere else by their name."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: dict[str, str] = {}

    async def start(self, plan: Plan, generation: int) -> Running:
        url = self.elsewhere.get(plan.model.name, self.url)
        return replace(await super().start(plan, generation), url=url, key="engine-key")


class Book:
    """The meter's ledger, in memory."""

    def __init__(self) -> None:
        self.limit = Limit()
        self.days: dict[tuple[str, date], Counts] = {}
        self.refusals: list[tuple[str, str, int]] = []
        self.hours = 0

    async def standing(self, by: Principal, day: date) -> tuple[Limit, Counts]:
        return self.limit, self.days.get((by.name, day), Counts())

    async def add(self, uses: Any, now: datetime) -> dict[str, Counts]:
        for name, day, counts in uses:
            self.days[name, day] = self.days.get((name, day), Counts()) + counts
        return {name: self.days[name, day] for name, day, _ in uses}

    async def refused(self, by: str, why: str, times: int) -> None:
        self.refusals.append((by, why, times))

    async def tell_hours(self, now: datetime) -> None:
        self.hours += 1


@dataclass
class Answered:
    """One response as it comes. ``hang_up`` is the client's going away."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    over: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def events(self) -> list[Any]:
        """The chunks of a stream, without comments and its end."""
        lines = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert not self.status
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            assert self.status
            assert not self.over
            self.body += message.get("body", b"")
            self.over = not message.get("more_body")

    def hang_up(self) -> None:
        self.gone.set()


@dataclass
class Desk:
    gateway: Gateway
    engine: EngineStandin
    room: Room
    book: Book
    meter: Meter
    tokens: dict[str, Principal]
    clock: ManualClock
    lookups: list[str]
    keeper: KeeperClient
    elsewhere: dict[str, str]
    """Addresses of engines by model, for those that are not served by ``engine``."""
    cut: bool = False

    def begin(
        self, path: str, body: Any = None, *, method: str = "POST", token: str = "mw_ann", **headers: str
    ) -> Answered:
        """Send a request. Header names are written with ``_``."""
        answer = Answered()
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {token}", "content-length": str(len(content))} if token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": pairs}
        given: list[Mapping[str, Any]] = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Any:
            if given:
                return given.pop()
            await answer.gone.wait()
            return {"type": "http.disconnect"}

        answer.task = asyncio.create_task(self.gateway(scope, receive, answer.send))
        return answer

    async def ask(self, path: str, body: Any = None, **given: Any) -> Answered:
        """The whole response."""
        answer = self.begin(path, body, **given)
        assert answer.task is not None
        await answer.task
        assert answer.over
        return answer

    async def chat(self, **given: Any) -> Answered:
        headers = {name: given.pop(name) for name in list(given) if name.startswith(("x_", "token"))}
        return await self.ask(
            "/v1/chat/completions", {"model": "qwen", "messages": MESSAGES, **given}, **headers
        )


@asynccontextmanager
async def desk(*models: Served, dialect: Dialect = DIALECT, beat: float = 0.05) -> AsyncIterator[Desk]:
    """``mw_ann`` is the token of an operator, ``mw_eve`` one without the right."""
    room = Room(*(models or (served("qwen", slots=8),)))
    engines = Elsewhere()
    room.engines = engines
    room.keeper = type(room.keeper)(
        room.shelf,
        room.records,
        {EngineKind.LLAMACPP: engines},
        room._hardware,
        engines,
        room.clock,
    )
    tokens = {
        "mw_ann": ANN,
        "mw_eve": Principal("token:eve/bot", Role.VIEWER, scopes=frozenset({Ability.VIEW})),
    }
    lookups: list[str] = []

    async def authenticate(text: str) -> Principal | None:
        lookups.append(text)
        return tokens.get(text)

    clock, book, pool = ManualClock(), Book(), Engines()
    access, meter = Access(authenticate, clock), Meter(book, clock)
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "keeper.sock"
        async with EngineStandin().serving() as engine, room:
            engines.url = engine.url
            door = asyncio.create_task(KeeperServer(room.keeper, socket).serve())
            await wait_for_async(socket.exists)
            keeper = KeeperClient(socket, resting=16)

            async def cut_off() -> bool:
                return made.cut

            openings = Openings(keeper, pool, lambda _: dialect, cut_off)
            serving = Serving(openings, access, meter, cut_off, beat=beat, say_after=2 * beat)
            made = Desk(
                Gateway(access, meter, keeper, serving),
                engine,
                room,
                book,
                meter,
                tokens,
                clock,
                lookups,
                keeper,
                engines.elsewhere,
            )
            yield made
            await meter.close()
            await keeper.close()
            pool.close()
            door.cancel()
            await asyncio.gather(door, return_exceptions=True)


__all__ = ["ANN", "MESSAGES", "Book", "Desk", "Use", "desk"]
