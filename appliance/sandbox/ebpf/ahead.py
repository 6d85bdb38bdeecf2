"""A control group that guard makes ahead of its job: the next job that may reach the same begins in it at once."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.process import wire
from appliance.sandbox.process.conversation import Conversation
from appliance.sandbox.process.spare import KEPT, PAUSE, is_silent

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Group:
    """One that no process of a job has been in, with the rules of ``request`` in force; ``connection`` is to the guard
    that watches it, and removes it when we leave."""

    name: str
    request: bytes
    connection: socket.socket
    conversation: Conversation


class GroupAhead:
    """At most one. Everything is called on one event loop.

    ``connect`` leads to guard (raises SandboxUnavailable); ``made`` is called with the name of each group.
    """

    def __init__(self, connect: Callable[[], Awaitable[socket.socket]], made: Callable[[str], None]) -> None:
        self._connect = connect
        self._made = made
        self._group: Group | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._making: asyncio.Task[None] | None = None

    def take(self, request: bytes) -> Group | None:
        """The group, which is the caller's now; None where there is none of these rules that guard still watches."""
        group = self._group
        if group is None or group.request != request:
            return None
        self._group = None
        self._forget_timer()
        if not is_silent(group.connection):
            group.connection.close()
            return None
        return group

    def make_soon(self, request: bytes) -> None:
        """Have one with these rules in a moment, for as long as a job may come soon."""
        if self._group is None and self._timer is None and (self._making is None or self._making.done()):
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._begin, request)

    def close(self) -> None:
        self._forget_timer()
        if self._making is not None:
            self._making.cancel()
        group, self._group = self._group, None
        if group is not None:
            group.connection.close()

    def _begin(self, request: bytes) -> None:
        self._timer = None
        self._making = asyncio.create_task(self._make(request))

    async def _make(self, request: bytes) -> None:
        try:
            connection = await self._connect()
        except SandboxUnavailable:
            return  # the next job meets it, and says so
        conversation = Conversation(connection)
        try:
            await conversation.say(wire.frame(wire.REQUEST, request))
            _, payload = await conversation.hear(_ANSWER_SECONDS)
            name = json.loads(payload).get("cgroup")
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                return
            raise
        if not name:
            connection.close()
            return
        self._group = Group(str(name), request, connection, conversation)
        self._timer = asyncio.get_running_loop().call_later(KEPT, self.close)
        self._made(self._group.name)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
