"""The way out of apprise's services. What they say over HTTP or SMTP goes through here: through the bridge's own proxy
or none, without redirects, within a time limit; and what the other end answered becomes an error of the outbox."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from appliance.bridges.api import Answer, PlatformApi
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds to wait where a service asks for patience and does not say how long."""


class Closable(Protocol):
    def close(self) -> None: ...


@dataclass(slots=True)
class Route:
    """Of one message, in the thread that sends it. ``trouble`` is what an error of its own class would hide: some
    services catch everything."""

    title: str
    api: PlatformApi
    loop: asyncio.AbstractEventLoop
    proxy: str | None = None
    root: str = ""
    trouble: DeliveryError | None = None
    started: bool = False
    refused_with: int = 0
    notes: list[str] = field(default_factory=list)
    _pending: Future[Answer] | None = None
    _server: Closable | None = None
    _given_up: bool = False

    def run(self, work: Callable[[], Any]) -> Any:
        """What it gives. False, or an error that apprise swallowed, is raised. Raises DeliveryError."""
        if self._given_up:
            return None
        self.started = True
        mark = ROUTE.set(self)
        try:
            result = work()
        except DeliveryError as error:
            raise (self.trouble or error) from None
        except Exception as error:
            # Only its kind and place: what apprise says in words may have the address in it.
            log.error("apprise broke: %s at %s", type(error).__name__, _place(error))
            raise self.trouble or DeliveryRefused(
                f"apprise broke over this message to {self.title} ({type(error).__name__})"
            ) from None
        finally:
            ROUTE.reset(mark)
        if self.trouble:
            raise self.trouble
        if result is False:
            raise self._verdict()
        return result

    def give_up(self) -> None:
        """From another thread: what is under way ends with an error."""
        self._given_up = True
        if self._pending:
            self._pending.cancel()
        if self._server:
            self._server.close()

    def fail(self, error: DeliveryError) -> DeliveryError:
        """The error to raise; the first one counts."""
        self.trouble = self.trouble or error
        return error

    def attend(self, server: Closable) -> None:
        """What is to be closed when the time is over."""
        self._server = server

    def request(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Raises DeliveryError where waiting or a person helps; any other refusal is the service's to read."""
        if not url.startswith(("http://", "https://")):
            raise self.fail(
                DeliveryRefused(f"{self.title} was to be reached in a way that the box does not use")
            )
        call = self.api.request(method, self._address(url), content=body, headers=headers)
        self._pending = asyncio.run_coroutine_threadsafe(call, self.loop)
        try:
            answer = self._pending.result()
        except PlatformAway as error:
            raise self.fail(error) from None
        if answer.status == 429:
            wait = patience(answer)
            raise self.fail(DeliveryDeferred(f"{self.title} asks for patience", retry_after=wait))
        if 300 <= answer.status < 400:  # as the log-in page of a guest network does
            raise self.fail(PlatformAway(f"{self.title} answers with a redirect, which is not followed"))
        if answer.status >= 400:
            self.refused_with = answer.status
        return answer

    def _address(self, url: str) -> str:
        if not self.root:
            return url
        relay, parts = urlsplit(self.root), urlsplit(url)
        path = relay.path.rstrip("/") + parts.path
        return urlunsplit((relay.scheme, relay.netloc, path, parts.query, ""))

    def _verdict(self) -> DeliveryError:
        """What a bare False means, from the last refusal that came over HTTP."""
        return refusal(self.title, self.refused_with)


ROUTE: ContextVar[Route] = ContextVar("route")
"""Of the message that this thread is sending."""


def refusal(title: str, status: int) -> DeliveryError:
    """The meaning of an HTTP status from 400 to 499; 0: there was none."""
    match status:
        case 401 | 403:
            hint = "the token was withdrawn, or lacks a right; give the platform a new address"
            return NotReady(f"{title} refuses the box (status {status})", hint=hint)
        case 404 | 410:
            hint = "it may have been removed there; give the platform a new address"
            return NotReady(f"{title} does not know this address (status {status})", hint=hint)
        case 0:
            return DeliveryRefused(f"apprise does not send this message to {title}")
        case _:
            return DeliveryRefused(f"{title} answers with status {status}")


def patience(answer: Answer) -> float:
    """Seconds, from the header or as Discord and Matrix write it."""
    if answer.retry_after is not None:
        return answer.retry_after
    seconds: Any = answer.fields.get("retry_after")
    milliseconds: Any = answer.fields.get("retry_after_ms")
    if isinstance(seconds, int | float) and seconds >= 0:
        return float(seconds)
    if isinstance(milliseconds, int | float) and milliseconds >= 0:
        return milliseconds / 1000
    return PATIENCE


def _place(error: Exception) -> str:
    """The file and the line that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
