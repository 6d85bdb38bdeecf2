"""An engine under test. Nothing that it says is believed, and no more of it is read than was asked for."""

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
_LONGEST_LINE = 1 << 20


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
    """``tokens`` grows with what it says, so that whoever looks sees that it gets on."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, key: str, served_name: str, dialect: Dialect
    ) -> None:
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
        try:
            async with self._client.stream("POST", url, **given) as answer:
                await self._refuse(answer)
                await self._read(answer, said, max_tokens)
        except httpx.HTTPError as error:
            raise _broke(error) from error
        said.text, said.seconds = "".join(said.parts), time.monotonic() - began
        said.generated = said.generated or said.pieces
        return said

    async def vectors(self, texts: Sequence[str]) -> list[Any]:
        """One for each text, as it gives them. Raises EngineBroke, EngineRefused."""
        body: JsonObject = {"model": self._name, "input": [*texts], "encoding_format": "float"}
        url, given = self._request("/v1/embeddings", body)
        try:
            answer = await self._client.post(url, **given)
            await self._refuse(answer)
            rows = answer.json()["data"]
            return [row["embedding"] for row in sorted(rows, key=lambda row: row["index"])]
        except httpx.HTTPError as error:
            raise _broke(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise EngineRefused(200, "its answer holds no vectors") from error

    def _request(self, path: str, body: JsonObject) -> tuple[str, Any]:
        kept = {
            name: value for name, value in self.dialect.shape(body).items() if name in self.dialect.fields
        }
        timeout = httpx.Timeout(60.0, read=PATIENCE)
        return f"{self._url}{path}", {"json": kept, "headers": self._headers, "timeout": timeout}

    async def _refuse(self, answer: httpx.Response) -> None:
        if answer.status_code != httpx.codes.OK:
            said = self.dialect.refusal(answer.status_code, await answer.aread())
            raise EngineRefused(answer.status_code, said)

    async def _read(self, answer: httpx.Response, said: Said, max_tokens: int) -> None:
        most, size, rest = max_tokens * _OF_A_TOKEN + _BESIDE, 0, b""
        async for data in answer.aiter_bytes():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                size += self._take(line.strip(), said)
            if size > most or said.pieces > max_tokens + BEYOND or len(rest) > _LONGEST_LINE:
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
            if isinstance(usage, dict):
                said.prompt_tokens = int(usage["prompt_tokens"])
                said.generated = int(usage["completion_tokens"])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise EngineRefused(200, "it says something that is no piece of an answer") from error
        said.finish = str(choices[0].get("finish_reason") or "") or said.finish
        if text or thought:
            said.pieces += 1
            self.tokens += 1
            said.parts.append(text)
            said.thought += thought[:_LONGEST_LINE]
        return len(text) + len(thought)


def _broke(error: httpx.HTTPError) -> EngineBroke:
    if isinstance(error, httpx.ReadTimeout):
        return EngineBroke(f"nothing came from the engine for {PATIENCE:.0f} s")
    return EngineBroke(f"the engine broke off: {type(error).__name__}")
