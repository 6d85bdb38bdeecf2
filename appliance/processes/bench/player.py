"""A model server that plays what it is told: ``python -m appliance.processes.bench.player``, in OpenAI's protocol.

Prints where it listens. ``PUT /play`` gives it a part, ``GET /asked`` says what it was asked and when. A question
belongs to the part whose word stands in it, and to the line of the turn that it asks for; nothing else of it counts, so
that who asks again is answered the same. A question of no part gets an answer that fits, as any model's.
"""

import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from appliance.lib.jsontypes import JsonObject, JsonValue

_LEFT_OUT = re.compile(r"\((\d+) earlier turns were left out")
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_NOTHING_KNOWN = "A millwright installs, watches and repairs machines."


@dataclass(frozen=True, slots=True)
class Part:
    """``lines`` are the answers of the turns, the last one that of all that come later. It thinks ``pause`` seconds,
    and says its answer in ``pieces``, ``pace`` seconds apart."""

    word: str
    lines: list[JsonObject]
    pause: float = 0.0
    pieces: int = 1
    pace: float = 0.0


@dataclass(slots=True)
class Asked:
    """One question. Times are of the machine's monotonic clock, which every process reads alike."""

    word: str
    turn: int
    began: float
    ended: float = 0.0
    """When the whole answer was out, or whoever asked had hung up; 0 while neither is so."""
    left: bool = False
    """Whether they hung up before its end."""
    pieces: int = 0


@dataclass(slots=True)
class Player:
    parts: dict[str, Part] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.connections -= 1

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; gives whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.search(r"(?i)content-length: (\d+)", head)
        body = json.loads(await reader.readexactly(int(found[1]))) if found and int(found[1]) else {}
        path = head.split(" ", 2)[1]
        if path == "/v1/chat/completions" and body.get("stream"):
            return await self._say(body, reader, writer)
        told: Any = {"object": "list", "data": [{"id": "played", "object": "model"}]}
        if path == "/play":
            self.parts[body["word"]] = Part(**body)
        elif path == "/v1/chat/completions":
            told = _whole(body)
        elif path == "/asked":
            told = [asdict(one) for one in self.asked]
        text = json.dumps(told).encode()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
        await writer.drain()
        return True

    async def _say(self, body: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        part, asked, text = self._cue(body)
        if asked is not None:
            self.asked.append(asked)
        size = -(-len(text) // part.pieces)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        writer.write(_STREAM)
        gone = asyncio.create_task(reader.read(1))
        try:
            for number, piece in enumerate(pieces):
                pause = part.pace if number else part.pause
                if pause and (await asyncio.wait([gone], timeout=pause))[0]:
                    raise ConnectionError
                _event(writer, _chunk({"content": piece}, None))
                await writer.drain()
                if asked is not None:
                    asked.pieces += 1
            for chunk in _end(body, text):
                _event(writer, chunk)
            writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            if asked is not None:
                asked.left = True
            return False
        finally:
            if asked is not None:
                asked.ended = time.monotonic()
            gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        return gone.cancelled()  # else the next question has begun in what was read here

    def _cue(self, body: Any) -> tuple[Part, Asked | None, str]:
        """The part that the question is of, its record, and the answer."""
        messages = body["messages"]
        told = "\n".join(one["content"] for one in messages if one["role"] == "user")
        part = next((one for one in self.parts.values() if one.word in told), None)
        if part is None:
            return Part("", []), None, _of_any_model(body)
        before = sum(one["role"] == "assistant" for one in messages)
        left_out = _LEFT_OUT.search(told)
        turn = before + 1 + (int(left_out[1]) if left_out else 0)
        line = part.lines[min(turn, len(part.lines)) - 1]
        return part, Asked(part.word, turn, time.monotonic()), json.dumps(line)


def _whole(body: Any) -> JsonObject:
    """In one piece, to whoever only looks whether it answers: no part is asked for so."""
    text = _of_any_model(body)
    choice: JsonObject = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return {"id": "p", "object": "chat.completion", "choices": [choice], "usage": _usage(body, text)}


def _end(body: Any, text: str) -> Iterator[JsonObject]:
    yield _chunk({}, "stop")
    yield {**_chunk({}, None), "choices": [], "usage": _usage(body, text)}


def _usage(body: Any, text: str) -> JsonObject:
    """In words, for want of a tokeniser."""
    read = sum(len(one["content"].split()) for one in body["messages"])
    said = min(len(text.split()), int(body.get("max_tokens") or 1 << 20))
    return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}


def _chunk(delta: JsonObject, finish: str | None) -> JsonObject:
    choice: JsonObject = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "p",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "played",
        "choices": [choice],
    }


def _event(writer: asyncio.StreamWriter, chunk: JsonObject) -> None:
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _of_any_model(body: Any) -> str:
    """What fits the question's schema where it has one: a model has to pass its tests before it is served."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    if schema is not None:
        return json.dumps(fitting(schema))
    return " ".join(_NOTHING_KNOWN.split()[: int(body.get("max_tokens") or 1 << 20)])


def fitting(schema: Any) -> JsonValue:
    """The least value that fits a schema of the plain kinds that this box writes."""
    if "const" in schema or "enum" in schema:
        value: JsonValue = schema["const"] if "const" in schema else schema["enum"][0]
        return value
    if "anyOf" in schema:
        return fitting(schema["anyOf"][0])
    match schema.get("type"):
        case "object":
            return {name: fitting(schema["properties"][name]) for name in schema.get("required", [])}
        case "array":
            return [fitting(schema["items"]) for _ in range(schema.get("minItems", 0))]
        case "boolean":
            return False
        case "integer" | "number":
            return int(schema.get("minimum", 0))
    return "a"


async def main() -> None:
    server = await asyncio.start_server(Player().attend, "127.0.0.1", 0, limit=1 << 22)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
