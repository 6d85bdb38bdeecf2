"""Messages on the box's own topics, kept apart from what triggers see: commands, and what the box said itself."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import DatabaseError

from appliance.bus.errors import BusError
from appliance.bus.ports import Delivery, Publisher
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject
from appliance.processes.box_commands import Answer, Command, answer, read_address

log = logging.getLogger(__name__)

MOST_WAITING = 200
"""Commands in hand; more are refused, unread: a flood must not fill the broker's window."""
REMEMBERED = 2000
"""Deliveries by which a repeated batch is known: more than one batch has."""
AUDIT_EVERY = 1.0
"""Seconds between two audit records of refused commands of one account; the others are counted."""


class OwnTopics:
    """Takes its deliveries out of a batch, and answers commands one after another beside the batches."""

    def __init__(
        self, box: str, bus: Publisher, clock: Clock, hint: Callable[[Sequence[UUID]], None], version: str
    ) -> None:
        self._root = f"millwright/{box}/"
        self._bus, self._clock, self._hint, self._version = bus, clock, hint, version
        self._queue: asyncio.Queue[tuple[Delivery, Command]] = asyncio.Queue()
        self._taken: dict[int, Delivery] = {}
        self._audited: dict[str, float] = {}
        self.filter = f"{self._root}cmd/#"
        self.done = self.refused = self.own = 0

    def sift(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """What is left for the triggers. Called again with the same deliveries it does nothing twice."""
        return [delivery for delivery in deliveries if not self._takes(delivery)]

    def _takes(self, delivery: Delivery) -> bool:
        topic = delivery.message.topic
        if not topic.startswith(self._root):
            return False
        family, _, rest = topic[len(self._root) :].partition("/")
        if family == "events" and rest:
            self.own += 1
            delivery.ack()  # what we said ourselves: a task that wants it has the trigger `event`
            return True
        if family != "cmd" or not rest:
            return False
        address = read_address(rest.split("/"))
        if address is None:
            self.own += 1
            delivery.ack()
        elif id(delivery) not in self._taken:
            self._take(delivery, *address)
        return True

    def _take(self, delivery: Delivery, name: str, account: str) -> None:
        # A batch that fails comes again with the commands that are in hand, or answered meanwhile.
        self._taken[id(delivery)] = delivery
        while len(self._taken) > REMEMBERED:
            del self._taken[next(iter(self._taken))]
        message = delivery.message
        if self._queue.qsize() >= MOST_WAITING:
            self.refused += 1
            delivery.ack()
        else:
            self._queue.put_nowait((delivery, Command(name, account, message.payload, message.retain)))

    def counts(self) -> JsonObject:
        return {"commands_done": self.done, "commands_refused": self.refused, "own_messages": self.own}

    async def run(self) -> None:
        """Answer for ever. Each command is committed, then answered, then acknowledged."""
        while True:
            delivery, command = await self._queue.get()
            try:
                given = await self._commit(command)
                if given.reply.get("ok"):
                    self.done += 1
                else:
                    self.refused += 1
                if given.run_id is not None:
                    self._hint([given.run_id])
                await self._reply(delivery.message.topic, given.reply)
            except Exception:
                self.refused += 1
                log.exception("the command %s could not be handled", command.name)
            delivery.ack()

    async def _commit(self, command: Command) -> Answer:
        attempt = 0
        while True:
            try:
                given = await in_django(self._answer, command)
            except DatabaseError as error:
                attempt += 1
                log.warning("a command waits for the database: %s", error)
                await asyncio.sleep(delay(attempt, base=0.2, cap=5.0))
            else:
                return given

    def _answer(self, command: Command) -> Answer:
        now = self._clock.monotonic()
        audit = now - self._audited.get(command.account, -AUDIT_EVERY) >= AUDIT_EVERY
        given = answer(command, self._clock.now(), self._version, audit_refusal=audit)
        if audit and not given.right:
            if len(self._audited) > 1000:
                self._audited.clear()
            self._audited[command.account] = now
        return given

    async def _reply(self, topic: str, reply: JsonObject) -> None:
        try:
            payload = json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode()
            await self._bus.publish(f"{topic}/reply", payload, qos=1, retain=False, timeout=30)
        except BusError as error:
            log.warning("an answer to %s did not go out: %s", topic, error)
