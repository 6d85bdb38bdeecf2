"""Handles what lies in the durable inbox: who wrote, what is meant, and the answer into the outbox."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from django.utils.translation import override
from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.bridges import sql
from appliance.bridges.buttons import Pressed, meaning_of, use_up
from appliance.bridges.commands import (
    failed_text,
    is_stop,
    not_paired_text,
    paired_text,
    parse_command,
    spent_text,
    unknown_text,
)
from appliance.bridges.domain import InboundState
from appliance.bridges.messages import Button, InboundMessage
from appliance.bridges.pairing import pair
from appliance.bridges.ports import Answer, Bridge, ChatCommand, ChatSender, CommandHandler, Verb
from appliance.lib.away import DATABASE_AWAY
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.sentences import sentence_of
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue, wake_platform

log = logging.getLogger(__name__)

BATCH = 50
PARALLEL = 8
PATIENCE = 30.0
MOST_ATTEMPTS = 5
MOST_STRANGERS = 500
REPLY_PRIORITY = 5


@dataclass(frozen=True, slots=True)
class _Event:
    id: int
    bridge: str
    event_id: str
    payload: JsonObject
    attempts: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class _Answer:
    conversation: str
    text: str
    buttons: tuple[Button, ...] = ()
    used: UUID | None = None
    """Of the item whose buttons have done their work."""
    by: str = ""


class InboundWorker:
    """Messages of one conversation are handled in order; ``stop`` waits for nothing and nobody."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        handler: CommandHandler,
        live: Callable[[], Mapping[str, Bridge]],
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._handler = handler
        self._live = live
        self._patience = patience
        self._wake = asyncio.Event()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(PARALLEL)
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def poke(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Handle events until cancelled; what is under way then is handled again at the next start."""
        try:
            while True:
                try:
                    await self.round()
                except (DatabaseError, PoolTimeout, OSError) as error:
                    log.warning("the inbox waits for its database: %s", error)
                except Exception:
                    log.exception("the inbox goes on after an error")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._wake.wait()
        finally:
            tasks = list(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def round(self) -> int:
        """Start what is due; gives how many events were started."""
        self._wake.clear()
        live = self._live()
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(
                sql.OPEN_INBOUND,
                {
                    "now": self._clock.now(),
                    "bridges": list(live),
                    "busy": list(self._busy),
                    "limit": BATCH,
                },
            )
            events = [_Event(**row) for row in await cursor.fetchall()]
        for event in events:
            task = asyncio.create_task(self._attend(event, live[event.bridge]))
            self._busy[event.id] = task
            task.add_done_callback(partial(self._leave, event.id))
        if len(events) == BATCH:
            self.poke()
        return len(events)

    def _leave(self, event_id: int, _: asyncio.Task[None]) -> None:
        self._busy.pop(event_id, None)

    async def settle(self) -> None:
        """Wait for the events that are being handled now."""
        while self._busy:
            await asyncio.wait(list(self._busy.values()))
            await asyncio.sleep(0)

    async def _attend(self, event: _Event, bridge: Bridge) -> None:
        try:
            messages = await bridge.handle_event(event.payload)
            async with self._turn(event.bridge, messages):
                answers = [
                    await self._answer(event, index, message) for index, message in enumerate(messages)
                ]
                await self._handled(event, [answer for answer in answers if answer is not None])
        except (*DATABASE_AWAY, PoolTimeout, OSError) as error:
            log.warning("an event of %s is handled later: %s", event.bridge, error)
        except Exception as error:
            log.exception("an event of %s could not be handled", event.bridge)
            with contextlib.suppress(DatabaseError, PoolTimeout, OSError):
                await self._put_off(event, f"{type(error).__name__}: {error}")

    @contextlib.asynccontextmanager
    async def _turn(self, bridge: str, messages: Sequence[InboundMessage]) -> Any:
        """A place among the few and this conversation's turn; an order to stop takes neither."""
        if not messages or any(is_stop(message.text) for message in messages):
            yield
            return
        lock = self._locks.setdefault((bridge, messages[0].conversation), asyncio.Lock())
        async with lock, self._places:
            yield

    async def _answer(self, event: _Event, index: int, message: InboundMessage) -> _Answer | None:
        command = parse_command(message.text, key="", received_at=event.received_at)
        if command.verb is Verb.PAIR and message.account_id is None and not message.pressed:
            return await self._pair(event, message, command)
        sender = await self._sender(event.bridge, message)
        if sender is None:
            return None
        person, language = sender
        pressed = None
        if message.pressed:
            pressed = await self._meaning(event, message)
            if pressed is None:
                return _Answer(message.conversation, spent_text(language))
        command = parse_command(
            pressed.data if pressed else message.text,
            key=f"chat/{event.bridge}/{event.event_id}/{index}",
            received_at=event.received_at,
            language=language,
        )
        command = replace(command, forwarded=message.forwarded)
        if command.verb is Verb.START and message.private:
            await self._adopt(event.bridge, message.conversation)
        answer, done = await self._carry_out(command, person)
        if answer is None:
            # In a group, people mostly talk to each other.
            answer = Answer(unknown_text(command.language) if message.private else "")
        if not answer.text:
            return None
        used = (pressed.item_id, person.principal) if pressed and done else (None, "")
        return _Answer(message.conversation, answer.text, answer.buttons, *used)

    async def _pair(self, event: _Event, message: InboundMessage, command: ChatCommand) -> _Answer | None:
        """Only in private: what is said in a group is read by others first."""
        if not message.private:
            return None
        known = await self._sender(event.bridge, message)
        async with self._pool.connection() as connection, connection.transaction():
            paired = await pair(connection, event.bridge, message, command.argument, self._clock.now())
        name = paired.username if paired else None
        if name is None and known is not None:
            # The same event, handled a second time, or somebody who is known already.
            name = known[0].username
        if name is None:
            return _Answer(message.conversation, not_paired_text(command.language))
        if paired and paired.may_receive:
            await self._adopt(event.bridge, message.conversation)
        return _Answer(message.conversation, paired_text(command.language, name))

    async def _meaning(self, event: _Event, message: InboundMessage) -> Pressed | None:
        async with self._pool.connection() as connection:
            return await meaning_of(connection, event.bridge, message.text, self._clock.now())

    async def _carry_out(self, command: ChatCommand, person: ChatSender) -> tuple[Answer | None, bool]:
        """The answer, and whether it was done. Who may not press uses no button up for those who may."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._handler.handle(command, person), True
        except MillwrightError as error:
            with override(command.language):
                return Answer(sentence_of(error)), False
        except (*DATABASE_AWAY, PoolTimeout):
            raise
        except Exception:
            log.exception("the chat command %s of %s failed", command.verb.value, person.principal)
            return Answer(failed_text(command.language)), False

    async def _sender(self, bridge: str, message: InboundMessage) -> tuple[ChatSender, str] | None:
        """The person behind a chat identity, with their language; a stranger is only written down."""
        async with self._pool.connection() as connection, connection.transaction():
            if message.account_id is not None:
                found = await connection.execute(sql.PERSON_BY_ID, {"id": message.account_id})
                row = await found.fetchone()
            else:
                who = {"platform": bridge, "user_id": message.user_id}
                row = await (await connection.execute(sql.PERSON_OF, who)).fetchone()
                await connection.execute(
                    sql.SEEN,
                    {
                        **who,
                        "name": message.user_name[:200],
                        "conversation": message.conversation if message.private else "",
                        "now": self._clock.now(),
                        "refused": 0 if row else 1,
                        "most": MOST_STRANGERS,
                    },
                )
        if row is None:
            log.info("an unknown identity wrote on %s; it waits to be linked to a person", bridge)
            return None
        sender = ChatSender(
            row[0],
            row[1],
            bridge,
            message.user_id,
            message.conversation,
            linked_by=row[3],
            token_id=message.token_id,
            private=message.private,
        )
        return sender, row[2]

    async def _adopt(self, bridge: str, conversation: str) -> None:
        """The first who says so in private becomes the platform's default recipient."""
        async with self._pool.connection() as connection, connection.transaction():
            found = await connection.execute(
                sql.ADOPT_CONVERSATION, {"name": bridge, "conversation": conversation}
            )
            if await found.fetchone() is not None:
                await wake_platform(connection, bridge)

    async def _handled(self, event: _Event, answers: Sequence[_Answer]) -> None:
        """One commit: the event is done and its answers are in the outbox."""
        async with self._pool.connection() as connection, connection.transaction():
            done = await connection.execute(
                sql.HANDLED,
                {
                    "id": event.id,
                    "state": InboundState.DONE.value if answers else InboundState.IGNORED.value,
                    "error": "",
                    "now": self._clock.now(),
                },
            )
            if done.rowcount != 1:
                return
            for index, answer in enumerate(answers):
                if answer.used:
                    await use_up(connection, answer.used, answer.by, self._clock.now())
                if not answer.text:
                    continue
                await enqueue(
                    connection,
                    OutboxItem(
                        key=f"reply/{event.bridge}/{event.event_id}/{index}",
                        platform=event.bridge,
                        conversation=answer.conversation,
                        message=_message(answer),
                        at=event.received_at,
                        expires_at=self._clock.now() + timedelta(hours=1),
                        priority=REPLY_PRIORITY,
                    ),
                )

    async def _put_off(self, event: _Event, error: str) -> None:
        now, tried = self._clock.now(), event.attempts + 1
        async with self._pool.connection() as connection, connection.transaction():
            if tried >= MOST_ATTEMPTS:
                state = {"state": InboundState.FAILED.value, "now": now}
                await connection.execute(sql.HANDLED, {"id": event.id, "error": error[:500], **state})
            else:
                later = now + timedelta(seconds=delay(tried))
                await connection.execute(
                    sql.PUT_OFF, {"id": event.id, "error": error[:500], "next_at": later}
                )


def _message(answer: _Answer) -> JsonObject:
    if not answer.buttons:
        return {"text": answer.text}
    return {
        "text": answer.text,
        "buttons": [{"label": one.label, "data": one.data} for one in answer.buttons],
    }
