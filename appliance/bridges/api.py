"""HTTP to a platform: through its own proxy or none, never a redirect, and no secret in an error or a log."""

import asyncio
import json
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from socksio import ProtocolError

from appliance.lib.authorities import authorities
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.masking import KNOWN, MASK, redact
from appliance.lib.said import say
from appliance.outbox.errors import PlatformAway

TIMEOUT = 15.0
SLACK = 5.0
"""Seconds that an answer as a whole may take beyond the limit for its next piece."""
LARGEST_ANSWER = 5_000_000
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")
_SHORT_LIVED = re.compile(r"(access_token=)[^&\s\"']+")
# Errors before the request was on its way: the platform cannot have seen it.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class _Blotter(logging.Filter):
    """httpx logs every request's address, and some platforms want a token in it.

    One that is good for an hour or two is known by where it stands: learning each would never end.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _SHORT_LIVED.sub(rf"\1{MASK}", KNOWN.text(record.getMessage())), None
        return True


_FILTER = _Blotter()


def blot_out(*loggers: str) -> None:
    """What these log is without secrets from now on."""
    for name in loggers:
        logging.getLogger(name).addFilter(_FILTER)  # adding it twice changes nothing


@dataclass(frozen=True, slots=True)
class Answer:
    """What the platform said, below 500. ``body`` is None for what is not JSON; then there is ``text``."""

    status: int
    headers: Mapping[str, str]
    body: JsonValue
    text: str

    @property
    def fields(self) -> JsonObject:
        return self.body if isinstance(self.body, dict) else {}

    @property
    def retry_after(self) -> float | None:
        """Seconds, as the header says."""
        given = self.headers.get("retry-after", "")
        try:
            return max(0.0, float(given))
        except ValueError:
            return None


class PlatformApi:
    """A client with its connections. ``title`` is the platform's name in sentences; ``secrets`` are never shown.

    A token that the platform gives for a while is told with ``hide``; it belongs into a header, where no log sees it.
    """

    def __init__(
        self, title: str, root: str = "", *, proxy: str | None = None, secrets: Collection[str] = ()
    ) -> None:
        blot_out(*_LOGGERS)
        for secret in secrets:
            KNOWN.learn(secret)
        self.title = title
        self._root = root.rstrip("/")
        self._hidden = {secret for secret in (*secrets, proxy) if secret}
        # trust_env: a proxy of the environment is meant for other programs, never for a local stand-in.
        self._client = httpx.AsyncClient(
            proxy=proxy or None, verify=authorities(), trust_env=False, follow_redirects=False
        )

    def hide(self, secret: str) -> None:
        self._hidden.add(secret)

    def redact(self, text: str) -> str:
        """The text without any secret that is known here."""
        return redact(text, self._hidden)

    async def close(self) -> None:
        await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: JsonValue | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        files: Any = None,
        data: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """What the platform answers below 500; what that means is the bridge's to say.

        ``path`` may be a whole address. Raises PlatformAway: nobody answered, or with 500 and more.
        """
        address = path if path.startswith(("http://", "https://")) else f"{self._root}{path}"
        try:
            request = self._client.build_request(
                method,
                address,
                json=json,
                params=query,
                headers={**(headers or {}), "accept-encoding": "identity"},
                content=content,
                files=files,
                data=data,
                timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            )
            # As a whole too: the client's own limit is for each piece, and a platform may send one at a time.
            async with asyncio.timeout(timeout + SLACK):
                response = await self._client.send(request, stream=True)
                try:
                    body = await self._body(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, ProtocolError, ValueError, TimeoutError) as error:
            # The cause is not chained: its request carries the token, and tracebacks go into logs.
            raise self._away(error) from None
        if response.status_code >= 500:
            raise PlatformAway(
                say(
                    "%(title)s is out of order (status %(status)s)",
                    title=self.title,
                    status=response.status_code,
                ),
                maybe_sent=True,
            )
        text = body.decode("utf-8", "replace")
        return Answer(response.status_code, dict(response.headers), _json(body), text)

    async def _body(self, response: httpx.Response) -> bytes:
        """As it came: what is packed may be a thousand times as large. Raises PlatformAway."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise PlatformAway(f"{self.title} answers in a coding that was not asked for", maybe_sent=True)
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise PlatformAway(f"{self.title} answers with more than 5 MB", maybe_sent=True)
        return bytes(body)

    def _away(self, error: Exception) -> PlatformAway:
        what: str = self.redact(str(error)) or type(error).__name__
        if isinstance(error, (httpx.TimeoutException, TimeoutError)):
            what = say("no answer in time")
        return PlatformAway(
            say("%(title)s cannot be reached: %(what)s", title=self.title, what=what),
            maybe_sent=not isinstance(error, _UNSENT),
        )


def _json(body: bytes) -> JsonValue:
    try:
        found: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found
