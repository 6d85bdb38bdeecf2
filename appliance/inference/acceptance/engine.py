"""An engine under test. Nothing that it says is believed, and no more of it is read than was asked for."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from appliance.inference.backends.contract import Dialect
from appliance.inference.errors import ModelUnavailable
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue

PATIENCE = 900.0
"""Seconds without a byte: a processor may think so long about a long prompt."""
BEYOND = 16
"""Pieces more than tokens were asked for, and it floods."""
_OF_A_TOKEN, _BESIDE = 48, 4096
"""Characters of one token, and of an answer beside its tokens, at most."""
_A_TOKEN = 5.0
"""Seconds that one takes at most, beside the patience: an engine that only says that it lives is none."""
_BYTES_OF_A_TOKEN = 4096
_LONGEST_LINE = 1 << 20
_LONGEST_REFUSAL = 1 << 16
_LONGEST_VECTORS = 1 << 24
_MOST_COUNTED = 10**9


class EngineBroke(ModelUnavailable):
    """The connection broke, or nothing came for too long: the engine is gone, or as good as that."""

    code = "model.engine_broke"


class EngineRefused(MillwrightError):
    """It answers with an error. ``status`` is HTTP's."""

    code = "model.engine_refused"

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


Messages = Sequence[tuple[str, str]]
"""``(role, text)``."""


@dataclass(slots=True)
class Said:
    """An answer. ``thought`` is what a reasoning model said before it; ``generated`` as the engine counts, else as it
    came; ``flooded``: it said more than it was asked for, and was cut off."""

    text: str = ""
    thought: str = ""
    finish: str = ""
    prompt_tokens: int | None = None
    generated: int = 0
    pieces: int = 0
    flooded: bool = False
    seconds: float = 0.0
    parts: list[str] = field(default_factory=list)


ONE_EACH = httpx.Limits(max_keepalive_connections=0)
"""A connection for each request: one that the engine closes for its age would look like its death."""


class Engine:
    """``tokens`` grows with what it says, so that whoever looks sees that it gets on. ``patience`` is seconds without
    a byte, and for an answer of no token."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        key: str,
        served_name: str,
        dialect: Dialect,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self.dialect = dialect
        self.tokens = 0
        self._client = client
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._name = served_name

    async def say(self, messages: Messages, *, max_tokens: int, schema: JsonObject | None = None) -> Said:
        """Its answer, the same each time as far as it can. Raises EngineBroke, EngineRefused."""
        body: JsonObject = {
            "model": self._name,
            "messages": [{"role": role, "content": text} for role, text in messages],
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if schema is not None:
            named = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": cast(JsonValue, named)}
        began, said = time.monotonic(), Said()
        url, given = self._request("/v1/chat/completions", body)
        within = self._patience + _A_TOKEN * max_tokens
        try:
            async with asyncio.timeout(within), self._client.stream("POST", url, **given) as answer:
                await self._refuse(answer)
                await self._read(answer, said, max_tokens)
        except TimeoutError as error:
            raise EngineBroke(f"its answer had no end within {within:.0f} s") from error
        except httpx.HTTPError as error:
            raise self._broke(error) from error
        said.text, said.seconds = "".join(said.parts), time.monotonic() - began
        said.generated = said.generated or said.pieces
        return said

    async def vectors(self, texts: Sequence[str]) -> list[Any]:
        """One for each text, as it gives them. Raises EngineBroke, EngineRefused."""
        body: JsonObject = {"model": self._name, "input": [*texts], "encoding_format": "float"}
        url, given = self._request("/v1/embeddings", body)
        try:
            async with (
                asyncio.timeout(self._patience),
                self._client.stream("POST", url, **given) as answer,
            ):
                await self._refuse(answer)
                content = await _read_at_most(answer, _LONGEST_VECTORS)
            rows = json.loads(content)["data"]
            return [row["embedding"] for row in sorted(rows, key=lambda row: row["index"])]
        except TimeoutError as error:
            raise EngineBroke(f"its answer had no end within {self._patience:.0f} s") from error
        except httpx.HTTPError as error:
            raise self._broke(error) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EngineRefused(200, "its answer holds no vectors") from error

    def _request(self, path: str, body: JsonObject) -> tuple[str, Any]:
        kept = {
            name: value for name, value in self.dialect.shape(body).items() if name in self.dialect.fields
        }
        timeout = httpx.Timeout(60.0, read=self._patience)
        return f"{self._url}{path}", {"json": kept, "headers": self._headers, "timeout": timeout}

    async def _refuse(self, answer: httpx.Response) -> None:
        if answer.status_code != httpx.codes.OK:
            content = await _read_at_most(answer, _LONGEST_REFUSAL)
            raise EngineRefused(answer.status_code, self.dialect.refusal(answer.status_code, content))

    async def _read(self, answer: httpx.Response, said: Said, max_tokens: int) -> None:
        most, size, rest = max_tokens * _OF_A_TOKEN + _BESIDE, 0, b""
        most_bytes, count = (max_tokens + BEYOND) * _BYTES_OF_A_TOKEN + _LONGEST_LINE, 0
        async for data in answer.aiter_bytes():
            count += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                size += self._take(line.strip(), said)
            if size > most or said.pieces > max_tokens + BEYOND or count > most_bytes:
                said.flooded = True
                return

    def _take(self, line: bytes, said: Said) -> int:
        """One line of the stream; gives how many characters it brought."""
        if not line.startswith(b"data:") or line.endswith(b"[DONE]"):
            return 0
        try:
            chunk = json.loads(line[5:])
            usage, choices = chunk.get("usage"), chunk.get("choices") or [{}]
            delta = choices[0].get("delta") or {}
            text = str(delta.get("content") or "")
            thought = str(delta.get("reasoning_content") or delta.get("reasoning") or "")
            said.finish = str(choices[0].get("finish_reason") or "") or said.finish
            if isinstance(usage, dict):
                said.prompt_tokens = _count(usage["prompt_tokens"])
                said.generated = _count(usage["completion_tokens"])
        except _NO_PIECE as error:
            raise EngineRefused(200, "it says something that is no piece of an answer") from error
        if text or thought:
            said.pieces += 1
            self.tokens += 1
            said.parts.append(text)
            said.thought += thought[:_LONGEST_LINE]
        return len(text) + len(thought)

    def _broke(self, error: httpx.HTTPError) -> EngineBroke:
        if isinstance(error, httpx.ReadTimeout):
            return EngineBroke(f"nothing came from the engine for {self._patience:.0f} s")
        return EngineBroke(f"the engine broke off: {type(error).__name__}")


_NO_PIECE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)
"""What comes of reading something as a piece of an answer that is none: JSON may hold Infinity, or nest for ever."""


def _count(value: Any) -> int:
    """Tokens, as an engine counts them. Raises ValueError and others where that is no count."""
    count = int(value)
    if not 0 <= count <= _MOST_COUNTED:
        raise ValueError(f"{count} tokens")
    return count


async def _read_at_most(answer: httpx.Response, most: int) -> bytes:
    """All of it, or its beginning. What an engine sends is read in the keeper's own process."""
    found = bytearray()
    async for data in answer.aiter_bytes():
        found += data
        if len(found) >= most:
            break
    return bytes(found[:most])
