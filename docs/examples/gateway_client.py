"""A small client of Millwright's gateway: `pip install websockets`, nothing else.

    MILLWRIGHT_TOKEN=mw_... python gateway_client.py ws://127.0.0.1:21234/ws/gateway "run.*" "device.*"

It connects again by itself, goes on after the last event that it has seen, and sends commands that had no
answer yet once more: the box knows them by their id, and does each once.
"""

import asyncio
import contextlib
import json
import os
import sys
import uuid

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


class Refused(Exception):
    """The box said no. `code` is stable."""

    def __init__(self, error):
        super().__init__(f"{error['message']} {error['hint']}")
        self.code = error["code"]


class Gateway:
    """`async with Gateway(url, token, ["run.*"]) as box:` then `box.command(...)` and `async for event in box`."""

    def __init__(self, url, token, topics=(), *, cursor=None, on_message=None, pause=1.0):
        self.url, self.token, self.topics, self.pause = url, token, list(topics), pause
        self.cursor = cursor  # keep it, and give it back after a restart: no event is missed
        self.on_message = on_message  # called with each message; it is acknowledged when that returns
        self.welcome = self.allstop = None
        self.gaps = 0  # how often events were not kept long enough: read the state anew
        self.connected, self._events, self._socket = asyncio.Event(), asyncio.Queue(), None
        self._asked, self._heard, self._tasks = {}, set(), set()

    async def __aenter__(self):
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_):
        for task in (tasks := [self._keeper, *self._tasks]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __aiter__(self):
        return self

    async def __anext__(self):
        """The next event: cursor, at, type, subject, data. Raises once the box does not want us any more."""
        if isinstance(event := await self._events.get(), Exception):
            raise event
        return event

    async def command(self, type, *, id=None, **fields):
        """Do something, and give the result: run, cancel, approve, deny, stop, say, ack, status. Raises Refused."""
        id = id or str(uuid.uuid4())
        frame, answer = {"type": type, "id": id, **fields}, asyncio.get_running_loop().create_future()
        self._asked[id] = frame, answer
        try:
            if self._socket:
                await self._send(frame)
            return await answer
        finally:
            del self._asked[id]

    async def _keep(self):
        """Stay connected until the box ends it for good. A token has no place in an address, which is logged."""
        headers, speak = {"Authorization": f"Bearer {self.token}"}, ["millwright.v1"]
        while True:
            try:
                async with connect(self.url, additional_headers=headers, subprotocols=speak) as socket:
                    await self._talk(socket)
            except InvalidStatus as error:
                if error.response.status_code == 403:
                    return self._over(PermissionError("the box does not let this token in"))
            except (Refused, ConnectionClosed, OSError, TimeoutError) as error:
                if isinstance(error, Refused) and error.code in ("gateway.ended", "gateway.version"):
                    return self._over(error)
            finally:
                self._socket = None
                self.connected.clear()
            await asyncio.sleep(self.pause)

    def _over(self, error):
        self._events.put_nowait(error)
        for _, answer in self._asked.values():
            answer.done() or answer.set_exception(error)

    async def _talk(self, socket):
        await socket.send(json.dumps({"type": "hello", "version": 1, "client": "gateway_client"}))
        async for text in socket:
            frame = json.loads(text)
            kind = frame["type"]
            for event in frame.get("events", ()):
                self._events.put_nowait(event)
            self.cursor = frame.get("cursor", self.cursor) if kind != "welcome" else self.cursor
            if kind == "welcome":
                await self._begin(socket, frame)
            elif kind == "heartbeat":
                await self._send({"type": "heartbeat", "n": frame["n"]})
            elif kind == "allstop":
                self.allstop = frame
            elif kind == "message":
                self._tasks.add(task := asyncio.create_task(self._receive(frame)))
                task.add_done_callback(self._tasks.discard)
            elif kind == "subscribed":
                self.gaps, self.cursor = self.gaps + frame["gap"], frame["after"]
                self.connected.set()
            elif kind == "error" and frame["fatal"]:
                raise Refused(frame)
            elif kind in ("result", "error") and frame["id"] in self._asked:
                answer = self._asked[frame["id"]][1]
                if not answer.done() and kind == "result":
                    answer.set_result(frame["result"])
                elif not answer.done():
                    answer.set_exception(Refused(frame))

    async def _begin(self, socket, welcome):
        """After each connection: the same topics, from where we were, and what had no answer yet."""
        self._socket, self.welcome, self.allstop = socket, welcome, welcome["allstop"]
        asked = {"id": "topics", "topics": self.topics, "after": self.cursor or welcome["cursor"]}
        await self._send({"type": "subscribe", **asked})
        for waiting, _ in list(self._asked.values()):
            await self._send(waiting)

    async def _receive(self, message):
        if self.on_message and (number := message["message"]) not in self._heard:
            self._heard.add(
                number
            )  # it comes again after each connection, until the acknowledgement is there
            await self.on_message(message)
            await self.command("ack", id=f"ack-{number}", message=number)

    async def _send(self, frame):
        with contextlib.suppress(ConnectionClosed):  # it is sent again after the next welcome
            await self._socket.send(json.dumps(frame))


async def main(url, *topics):
    async with Gateway(url, os.environ["MILLWRIGHT_TOKEN"], topics or ["*"]) as box:
        async for event in box:
            print(event["at"], event["type"], event["subject"], json.dumps(event["data"]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
