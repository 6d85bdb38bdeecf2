"""``/ws/gateway``: the box for people's own clients and bots. The protocol is in ``webadmin.gateway.protocol``."""

import asyncio
import contextlib
import logging
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import InterfaceError, OperationalError
from pydantic import BaseModel

from appliance.accounts.tokens import authenticate
from appliance.events.hints import GROUP, PATIENCE
from appliance.events.journal import Cursor
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import Apart
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text
from webadmin.gateway import flow, looking, protocol
from webadmin.gateway.commands import Caller, obey, refused
from webadmin.gateway.credentials import speaks_ours, token_of
from webadmin.gateway.errors import Close, Over, TokenEnded
from webadmin.gateway.reading import read
from webadmin.login.noted import note, note_program

log = logging.getLogger(__name__)


LOOK_EVERY = 2.0
"""Seconds between two looks without a hint: so long a lost hint, and a token that has ended, go unnoticed."""
PAUSE = 0.05
AWAY = protocol.Error(
    id=None, code="gateway.away", message="the database is away", hint="try again", retry_after=2.0
)

STRANGER = "stranger"
DB_AWAY = (OperationalError, InterfaceError)

_sockets = flow.Sockets()


in_thread = Apart()
"""A command that waits for a lock is not to hold up other connections."""


class GatewayConsumer(AsyncWebsocketConsumer):
    """One connection. The pump and the answers both send; ``_turn`` keeps them from mixing positions."""

    async def connect(self) -> None:
        self._taken, self._pump, self._case = False, None, ""
        self._client = str((self.scope.get("client") or [""])[0])
        self._who, token_id = await self._knock()
        if token_id is None:
            await self.close()
            return
        self._caller = Caller(token_id, self._client)
        self._cursor: Cursor | None = None
        self._topics, self._shown = frozenset[str](), set[UUID]()
        self._wake, self._turn = asyncio.Event(), asyncio.Lock()
        self._since = time.monotonic()
        self._window, self._rate = flow.Window(self._since), flow.Rate()
        self._taken = _sockets.take(token_id)
        await self.accept(protocol.SUBPROTOCOL if speaks_ours(self.scope) else None)
        if not self._taken:
            most = f"a token has at most {flow.MOST_SOCKETS} connections"
            await self._end(Over(Close.TOO_MANY, most, "close another one first"))
        elif not speaks_ours(self.scope):
            told = f"ask for the subprotocol {protocol.SUBPROTOCOL}"
            await self._end(Over(Close.VERSION, "no version that both sides speak", told))
        else:
            with contextlib.suppress(Exception):  # without Redis: a look each two seconds
                async with asyncio.timeout(PATIENCE):
                    await self.channel_layer.group_add(GROUP, self.channel_name)
            self._pump = asyncio.create_task(self._forward())

    async def disconnect(self, code: int) -> None:
        if self._pump:
            self._pump.cancel()
        if self._taken:
            _sockets.give_back(self._caller.token_id)
        if getattr(self, "_caller", None):
            await self._on_record("gateway.closed", {"code": code, "case": self._case})
        with contextlib.suppress(Exception):
            async with asyncio.timeout(PATIENCE):
                await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        if self._case:
            return
        frame: Any = None
        try:
            frame = read(text_data, self._rate, time.monotonic())
            if isinstance(frame, protocol.Error):
                await self._say(frame)
            else:
                await self._heed(frame)
        except Over as over:
            await self._end(over)
        except DB_AWAY:
            await self._say(AWAY.model_copy(update={"id": getattr(frame, "id", None)}))

    async def live_hint(self, message: dict[str, Any]) -> None:
        self._wake.set()

    # --- the handshake ----------------------------------------------------------------------------

    async def _knock(self) -> tuple[str, int | None]:
        """Who it is, and the token's key. Whoever is refused learns nothing about which part was wrong."""
        given, case = token_of(self.scope), "token"
        if self.scope.get("query_string"):
            given, case = None, "query"  # it may hold a token, which is in somebody's log now
        try:
            token = await in_thread(authenticate, given, datetime.now(UTC)) if given else None
        except DB_AWAY:
            return STRANGER, None
        if token is not None:
            return token.principal.name, token.pk
        self._who = STRANGER
        await self._on_record("socket.refused", {"case": case, "path": str(self.scope["path"])})
        return STRANGER, None

    # --- what the client says ---------------------------------------------------------------------

    async def _heed(self, frame: Any) -> None:
        now = datetime.now(UTC)
        if isinstance(frame, protocol.Hello):
            await self._greet(frame, now)
        elif self._cursor is None:
            raise Over(
                Close.NO_HELLO, "say hello first", f'{{"type": "hello", "version": {protocol.VERSION}}}'
            )
        elif isinstance(frame, protocol.HeartbeatIn):
            if self._window.answered(frame.n):
                self._wake.set()
        elif isinstance(frame, protocol.Subscribe):
            await self._subscribe(frame, self._cursor, now)
        else:
            try:
                await self._say(await in_thread(obey, frame, self._caller, now))
            except TokenEnded as error:
                raise Over(Close.ENDED, error.message) from None

    async def _greet(self, frame: protocol.Hello, now: datetime) -> None:
        if frame.version != protocol.VERSION:
            raise Over(Close.VERSION, f"this box speaks version {protocol.VERSION}")
        if self._cursor is None:
            try:
                said, self._cursor = await in_thread(looking.welcome, self._caller.token_id, now)
            except TokenEnded as error:
                raise Over(Close.ENDED, error.message) from None
            await self._on_record("gateway.connected", {"client": plain_text(frame.client)})
            await self._say(said)
            self._wake.set()

    async def _subscribe(self, frame: protocol.Subscribe, at: Cursor, now: datetime) -> None:
        async with self._turn:
            try:
                answer, self._topics, self._cursor = await in_thread(
                    looking.subscribe, frame, self._caller.token_id, self._cursor or at, now
                )
            except TokenEnded as error:
                raise Over(Close.ENDED, error.message) from None
            except MillwrightError as error:
                await self._say(refused(frame.id, error))
                return
            await self._say(answer)
        self._wake.set()

    # --- what the box says ------------------------------------------------------------------------

    async def _forward(self) -> None:
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._wake.wait()
                self._wake.clear()
                await self._round(time.monotonic())
                await asyncio.sleep(PAUSE)
        except Over as over:
            await self._end(over)
        except Exception:
            log.exception("a connection of the gateway broke")
            await self._end(Over(Close.BROKEN, "the box could not go on; see its log", "connect again"))

    async def _round(self, now: float) -> None:
        """One look. Raises Over."""
        if self._cursor is None:
            if now - self._since > flow.HELLO_WITHIN:
                raise Over(Close.NO_HELLO, f"no hello within {flow.HELLO_WITHIN:g} seconds")
            return
        if self._window.is_late(now):
            told = f"a heartbeat was not answered within {flow.PATIENCE:g} seconds"
            raise Over(Close.SLOW, told, "connect again, and go on after the last cursor")
        async with self._turn:
            try:
                if self._window.is_full:
                    await in_thread(looking.good_token, self._caller.token_id, datetime.now(UTC))
                else:
                    await self._look(self._cursor)
            except TokenEnded as error:
                raise Over(Close.ENDED, error.message, error.hint or "") from None
            except DB_AWAY:
                pass  # it keeps its position, and is asked again
            if self._window.is_due(now):
                mark = self._window.mark(now)
                await self._say(
                    protocol.HeartbeatOut(n=mark, time=datetime.now(UTC), cursor=str(self._cursor))
                )

    async def _look(self, cursor: Cursor) -> None:
        seen = await in_thread(looking.look, self._caller.token_id, cursor, datetime.now(UTC))
        if seen.page is None:
            raise Over(Close.UNREADABLE, "the journal is another one now", "connect again")
        for frame in looking.frames(seen, self._topics, self._shown):
            await self._say(frame)
        self._cursor = seen.page.cursor
        self._shown = {message.item_id for message in seen.messages}
        if seen.page.more:
            self._wake.set()

    async def _say(self, frame: BaseModel) -> None:
        text = frame.model_dump_json()
        self._window.sent(len(text))
        await self.send(text)

    async def _end(self, over: Over) -> None:
        """Tell, then cut."""
        self._case = over.close.name.lower()
        code = f"gateway.{self._case}"
        await self._say(protocol.Error(id=None, code=code, message=over.message, hint=over.hint, fatal=True))
        await self.close(code=over.close.value)

    async def _on_record(self, kind: str, detail: JsonObject) -> None:
        put = note if self._who == STRANGER else note_program
        try:
            await in_thread(put, kind, self._who, self._client, detail)
        except Exception as error:
            log.warning("not on record: %s, as %s: %s", kind, self._who, error)
