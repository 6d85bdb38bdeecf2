"""``/ws/live``: what happened, in order. The socket is a hint; the journal is the truth."""

import asyncio
import contextlib
import json
import time
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings

from appliance.accounts.domain import Ability
from appliance.accounts.models import User
from appliance.events import AccountChanged
from appliance.events.journal import Cursor, CursorInvalid, Entry, Page
from appliance.events.services import current_cursor, read_after
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject
from appliance.processes import http_server
from appliance.processes.kept_output import read_kept
from appliance.runs.models import Run
from webadmin.login.noted import note
from webadmin.login.required import lacks_two_step
from webadmin.login.sessions import user_of_session
from webadmin.visible import visible_to

PAUSE = 0.05
"""Seconds between two batches: a flood reaches the browser at most twenty times a second."""
BATCH = 500
PATIENCE = 2.0
"""Seconds for the channel layer to answer."""
MOST_WATCHED = 10
LONGEST_MESSAGE = 1024
"""Characters that a browser has to say: a position, or the name of a run."""
TOO_LARGE = 4413
UNREADABLE = 4400
ASK_AGAIN = 10.0
"""Seconds after which a session is looked at anew; what happens to its person is seen at once."""


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """The browser says from where (``{"after": cursor}``); it gets every event after it, and hints make it prompt.

    ``{"watch": run id}`` adds the live output of one run: first what its running steps have written so far, then
    ``{"watched": run id}``, then what comes. Chunks carry their positions, so that doubles and gaps are seen;
    whoever sees a gap asks again.
    """

    async def connect(self) -> None:
        user = self.scope.get("user")
        if user is None or not user.is_authenticated or not user.can(Ability.VIEW):
            await self.close(code=4401)
            return
        if await in_django(lacks_two_step, user):
            await self.close(code=4403)
            return
        self._cursor: Cursor | None = None
        self._wake = asyncio.Event()
        self._watched: set[str] = set()
        self._asked = time.monotonic()
        await self._listen("live")
        await self.accept()
        self._pump: asyncio.Task[None] | None = asyncio.create_task(self._forward())

    async def disconnect(self, code: int) -> None:
        if code == http_server.TOO_LARGE:
            await self._on_record("socket.refused", {"case": "too large", "path": str(self.scope["path"])})
        if getattr(self, "_pump", None):
            self._pump.cancel()  # type: ignore[union-attr]  # checked by the line above
        with contextlib.suppress(Exception):
            async with asyncio.timeout(PATIENCE):
                await self.channel_layer.group_discard("live", self.channel_name)
                for run_id in getattr(self, "_watched", ()):
                    await self.channel_layer.group_discard(f"run.{run_id}", self.channel_name)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """A message of a size that nothing here sends, or that is no JSON, ends the socket."""
        if bytes_data is not None or text_data is None or len(text_data) > LONGEST_MESSAGE:
            await self._on_record("socket.refused", {"case": "too large", "path": str(self.scope["path"])})
            await self.close(code=TOO_LARGE)
            return
        try:
            content = json.loads(text_data)
        except (ValueError, RecursionError):
            await self.close(code=UNREADABLE)
            return
        await self.receive_json(content)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if not isinstance(content, dict):
            return
        if "after" in content:
            await self._begin(str(content["after"]))
        elif isinstance(content.get("watch"), str):
            await self._watch(content["watch"])

    async def _begin(self, after: str) -> None:
        try:
            self._cursor = Cursor.parse(after)
        except CursorInvalid:
            self._cursor = await in_django(current_cursor)
        self._wake.set()

    async def _watch(self, run_id: str) -> None:
        if run_id not in self._watched:
            if len(self._watched) >= MOST_WATCHED or not await self._is_run(run_id):
                return
            self._watched.add(run_id)
            await self._listen(f"run.{run_id}")
        # Read after joining: what is not on the shelf yet comes to the group.
        for chunk in await asyncio.to_thread(read_kept, settings.CONFIG.redis_url, run_id):
            await self.send_json({"output": {"run": run_id, "kept": True, **chunk.to_json()}})
        await self.send_json({"watched": run_id})

    async def _listen(self, group: str) -> None:
        """Without Redis the page still lives: the journal is asked every two seconds, only live output is missing."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(PATIENCE):
                await self.channel_layer.group_add(group, self.channel_name)

    async def _is_run(self, run_id: str) -> bool:
        try:
            return bool(await in_django(Run.objects.filter(pk=run_id).exists))
        except Exception:
            # Not an identifier, or the database is away: the browser asks again when it connects again.
            return False

    async def _forward(self) -> None:
        while True:
            # Also without a hint: one that was lost costs two seconds.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._wake.wait()
            self._wake.clear()
            if not await self._still_in():
                await self.close(code=4401)
                return
            page = await self._read()
            if page is not None and page.entries:
                self._cursor = page.cursor
                if any(self._is_about_us(entry) for entry in page.entries):
                    self._asked = 0.0
                    if not await self._still_in():
                        await self.close(code=4401)
                        return
                entries = visible_to(self.scope["user"].username, page.entries)
                await self.send_json(
                    {"cursor": str(page.cursor), "events": [entry.to_json() for entry in entries]}
                )
                if page.more:
                    self._wake.set()
            await asyncio.sleep(PAUSE)

    def _is_about_us(self, entry: Entry) -> bool:
        own = entry.data.get("username") == self.scope["user"].username
        return own and entry.type == AccountChanged.type

    async def _still_in(self) -> bool:
        """Whether the session that opened this socket still lets its person in: ended from afar, it ends here too."""
        session = self.scope.get("session")
        if session is None or time.monotonic() - self._asked < ASK_AGAIN:
            return True
        try:
            user = await in_django(user_of_session, session.session_key)
        except Exception:
            # The database is away: nothing is read from it either, and it is asked again.
            return True
        self._asked = time.monotonic()
        if user is None or not user.can(Ability.VIEW):
            return False
        return not await in_django(lacks_two_step, user)

    async def _on_record(self, kind: str, detail: JsonObject) -> None:
        client = self.scope.get("client")
        user = self.scope.get("user")
        who = user.principal.name if isinstance(user, User) else "stranger"
        with contextlib.suppress(Exception):  # a database that is away
            await in_django(note, kind, who, str(client[0]) if client else "", detail)

    async def _read(self) -> Page | None:
        if self._cursor is None:
            return None
        try:
            page: Page = await in_django(read_after, self._cursor, BATCH)
        except CursorInvalid:
            self._cursor = await in_django(current_cursor)
        except Exception:
            # The database is away; the browser keeps its position and asks again.
            return None
        else:
            return page
        return None

    async def live_hint(self, message: dict[str, Any]) -> None:
        self._wake.set()

    async def run_output(self, message: dict[str, Any]) -> None:
        await self.send_json({"output": {key: message[key] for key in message if key != "type"}})
