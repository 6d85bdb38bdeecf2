"""``/mcp``: who comes in. Token, origin and bounds are looked at here; the protocol is behind it, and loaded for the
first program that passes."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http.request import split_domain_port, validate_host

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken
from appliance.accounts.tokens import authenticate, still_good
from appliance.lib.in_django import Apart
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text
from webadmin.gateway.credentials import token_of
from webadmin.login.noted import note, note_program
from webadmin.mcp.behind import SESSION, Behind
from webadmin.mcp.limits import MOST_OPEN, MOST_SESSIONS, Program, Programs, Session
from webadmin.origin import is_own
from webadmin.proxies import Scope

if TYPE_CHECKING:
    from appliance.agent.mcp.server.application import Application

log = logging.getLogger(__name__)


PREFIX = "/mcp"
LOOK_EVERY = 2.0
"""Seconds between two looks at the tokens of what is under way: so long one that has ended goes unnoticed."""
NEEDED = (Ability.VIEW, Ability.RUN_TASKS, Ability.CANCEL_RUNS)
VERSION = b"mcp-protocol-version"
WITH_SESSIONS = frozenset({b"", b"2024-11-05", b"2025-03-26", b"2025-06-18", b"2025-11-25"})
"""Versions of the protocol that begin with a handshake; from 2026-07-28 on each request stands alone."""
DB_AWAY = (OperationalError, InterfaceError)


class Refused(Exception):
    def __init__(self, status: int, said: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(said)
        self.status, self.said, self.headers = status, said, headers


@dataclass(eq=False)
class Exchange:
    """One request and its answer. ``over``: it is to end though the client is still there."""

    program: Program
    session: Session | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 0
    complete: bool = False


in_thread = Apart()


class Door:
    def __init__(self, make: Callable[[], "Application"]) -> None:
        """``make``: what is behind the door; called once, in a thread, for the first that passes."""
        self._inside = Behind(make)
        self._watching: asyncio.Task[None] | None = None
        self._programs = Programs()
        self._exchanges: set[Exchange] = set()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        headers = _headers(scope)
        try:
            self._check_place(scope, headers)
            token = await self._token(scope)
            exchange = await self._admitted(token, headers)
        except Refused as refused:
            await _answer(send, refused)
            return
        try:
            await self._pass(exchange, token, scope, receive, send)
        finally:
            self._leave(exchange)

    # --- who comes ---------------------------------------------------------------------------------

    def _check_place(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """A page of another site must not speak to the box by a browser that can reach it (DNS rebinding)."""
        if str(scope["path"]).rstrip("/") != PREFIX:
            raise Refused(404, "not found")
        host = headers.get(b"host", b"").decode("latin-1")
        if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
            raise Refused(421, "this box is not called so")
        origin = headers.get(b"origin")
        if origin is not None and not is_own(
            origin.decode("latin-1"), host, str(scope.get("scheme", "http"))
        ):
            raise Refused(403, "pages of another site may not speak to this box")

    async def _token(self, scope: Scope) -> ApiToken:
        given = None if scope.get("query_string") else token_of(scope)
        try:
            token = await in_thread(authenticate, given, datetime.now(UTC)) if given else None
        except DB_AWAY:
            raise Refused(503, "the database is away", (b"retry-after", b"5")) from None
        if token is None:
            await self._on_record(note, "mcp.refused", "stranger", scope, {"case": "token"})
            challenge = (b"www-authenticate", b'Bearer realm="millwright"')
            raise Refused(401, "this needs a token: Authorization: Bearer mw_...", challenge)
        if not any(token.can_somewhere(one) for one in NEEDED):
            await self._on_record(note_program, "mcp.refused", token.principal.name, scope, {"case": "scope"})
            raise Refused(403, "the token has none of the scopes view, run_tasks, cancel_runs")
        return token

    async def _admitted(self, token: ApiToken, headers: dict[bytes, bytes]) -> Exchange:
        now = time.monotonic()
        self._programs.tidy(now)
        program = self._programs.of(token.pk, now)
        if not program.rate.passes(now):
            after = str(max(1, round(program.rate.retry_after))).encode()
            raise Refused(429, "too many requests", (b"retry-after", after))
        if program.open >= MOST_OPEN:
            raise Refused(429, f"a token has at most {MOST_OPEN} requests at once", (b"retry-after", b"1"))
        exchange = Exchange(program)
        key = headers.get(SESSION, b"").decode("latin-1")
        if key:
            exchange.session = program.sessions.get(key)
        elif headers.get(VERSION, b"") in WITH_SESSIONS:
            await self._make_room(program)
        program.open += 1
        if exchange.session is not None:
            exchange.session.open += 1
        self._exchanges.add(exchange)
        return exchange

    async def _make_room(self, program: Program) -> None:
        """For one more session, where this request begins one."""
        program.forget_idle(time.monotonic())
        if len(program.sessions) < MOST_SESSIONS:
            return
        resting = program.resting()
        if resting is None:
            raise Refused(429, f"a token has at most {MOST_SESSIONS} sessions", (b"retry-after", b"5"))
        await self._end_session(program, resting.key)

    def _leave(self, exchange: Exchange) -> None:
        self._exchanges.discard(exchange)
        exchange.program.open -= 1
        if exchange.session is not None:
            exchange.session.open -= 1
            exchange.session.last = time.monotonic()

    # --- what is behind it -------------------------------------------------------------------------

    async def _pass(self, exchange: Exchange, token: ApiToken, scope: Scope, receive: Any, send: Any) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

        async def hear() -> Any:
            """What the client says; that it is gone, also where it only has to go."""
            said = asyncio.ensure_future(receive())
            over = asyncio.ensure_future(exchange.over.wait())
            try:
                await asyncio.wait({said, over}, return_when=asyncio.FIRST_COMPLETED)
                return said.result() if said.done() else {"type": "http.disconnect"}
            finally:
                over.cancel()
                if not said.done():
                    said.cancel()

        async def say(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                await self._begun(exchange, token, scope, message)
            else:
                exchange.complete = not message.get("more_body", False)
            await send(message)
            if message["type"] == "http.response.start" and _is_stream(message):
                # Daphne keeps the head back until there is something behind it: the client would wait for its stream.
                await send({"type": "http.response.body", "body": b": here\r\n\r\n", "more_body": True})

        await self._inside.handle(token, {**scope, "path": PREFIX}, hear, say)
        if not exchange.status:
            await _answer(send, Refused(401, "the token has ended"))
        elif not exchange.complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begun(self, exchange: Exchange, token: ApiToken, scope: Scope, message: Any) -> None:
        """A session that this answer begins, or ends."""
        sessions, now = exchange.program.sessions, time.monotonic()
        key = next(
            (bytes(value).decode() for name, value in message["headers"] if name.lower() == SESSION), ""
        )
        if exchange.session is not None and (scope["method"] == "DELETE" or message["status"] == 404):
            sessions.pop(exchange.session.key, None)
        elif key and exchange.session is None and message["status"] < 400:
            exchange.session = sessions.setdefault(key, Session(key, now))
            exchange.session.open += 1
            await self._on_record(note_program, "mcp.connected", token.principal.name, scope, {})

    # --- tokens that end ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        """While anybody is there: whose token has ended goes, with all sessions."""
        while any(not one.is_gone for one in self._programs):
            await asyncio.sleep(LOOK_EVERY)
            for program in self._programs:
                program.forget_idle(time.monotonic())
                if program.is_gone:
                    continue
                with contextlib.suppress(*DB_AWAY):
                    if await in_thread(still_good, program.token_id, datetime.now(UTC)) is None:
                        await self._throw_out(program)

    async def _throw_out(self, program: Program) -> None:
        for key in list(program.sessions):
            await self._end_session(program, key)
        for exchange in self._exchanges:
            if exchange.program is program:
                exchange.over.set()

    async def _end_session(self, program: Program, key: str) -> None:
        program.sessions.pop(key, None)
        await self._inside.end_session(key, program.token_id)

    async def _on_record(
        self, put: Callable[..., None], kind: str, who: str, scope: Scope, detail: JsonObject
    ) -> None:
        client = scope.get("client")
        agent = plain_text(_headers(scope).get(b"user-agent", b"").decode("latin-1"))[:100]
        try:
            await in_thread(put, kind, who, str(client[0]) if client else "", {**detail, "agent": agent})
        except DB_AWAY as error:
            log.warning("not on record: %s, as %s: %s", kind, who, error)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}


def _is_stream(message: Any) -> bool:
    kinds = [bytes(value) for name, value in message["headers"] if bytes(name).lower() == b"content-type"]
    return any(kind.startswith(b"text/event-stream") for kind in kinds)


async def _answer(send: Callable[[Any], Awaitable[None]], refused: Refused) -> None:
    body = json.dumps({"error": refused.said}).encode()
    headers = [(b"content-type", b"application/json"), *refused.headers]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
