"""``/v1``: an ASGI application of its own. Neither sessions, cookies nor forms are of any use here."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db import DatabaseError, InterfaceError

from appliance.accounts.principal import Principal
from appliance.inference.domain import Work
from appliance.inference.errors import ModelUnavailable
from appliance.inference.gateway import listing, shaping
from appliance.inference.gateway.access import Access
from appliance.inference.gateway.answers import Answer, Send, Streamed, Whole, send_error, send_json
from appliance.inference.gateway.errors import ApiError, invalid, of
from appliance.inference.gateway.meter import Meter
from appliance.inference.gateway.ports import Keeper
from appliance.inference.gateway.requests import (
    LARGEST_BODY,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    parse,
)
from appliance.inference.gateway.serving import Receive, Serving
from appliance.inference.gateway.shaping import Asked, AskedVectors
from appliance.inference.leases import Wish
from appliance.lib.errors import MillwrightError
from appliance.lib.priority import Priority

log = logging.getLogger(__name__)

Scope = Mapping[str, Any]
DEADLINE, LONGEST_DEADLINE = 60.0, 3600.0
MOST_AT_ONCE = 1000
_HIGHEST = Priority.HIGH
"""What is critical is the box's own work."""


class _Gone(Exception):
    """The client, before it had said what it wants."""


class Gateway:
    def __init__(self, access: Access, meter: Meter, keeper: Keeper, serving: Serving) -> None:
        self._access = access
        self._meter = meter
        self._keeper = keeper
        self._serving = serving
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._respond(scope, receive, send)
        except _Gone:
            pass
        except Exception as error:
            await send_error(send, _told(error))

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        token, by = await self._access.caller(headers)
        path, method = str(scope["path"]).rstrip("/"), scope["method"]
        if path == "/v1/models" or path.startswith("/v1/models/"):
            _only(method, "GET")
            body = listing.models(await self._keeper.look(), path.removeprefix("/v1/models").lstrip("/"))
            await send_json(send, 200, body, [])
            return
        if path not in _ASKED:
            raise ApiError(404, f"there is nothing at {path}", code="not_found")
        _only(method, "POST")
        if self._under_way >= MOST_AT_ONCE:
            raise ApiError(
                503, "too many answers are under way", "server_error", headers=(("Retry-After", "1"),)
            )
        self._under_way += 1
        try:
            await self._answer(path, dict(headers), token, by, receive, send)
        finally:
            self._under_way -= 1

    async def _answer(
        self,
        path: str,
        headers: Mapping[bytes, bytes],
        token: str,
        by: Principal,
        receive: Receive,
        send: Send,
    ) -> None:
        asked = _ASKED[path](await _body(headers, receive))
        wish = _wish(asked, headers, by)
        await self._meter.admit(by)
        answer: Answer = (
            Streamed(send, keep_usage=asked.keep_usage)
            if asked.stream
            else Whole(send, path, base64=isinstance(asked, AskedVectors) and asked.as_base64)
        )
        try:
            await self._serving.serve(asked, wish, token, by, receive, answer)
        except ModelUnavailable as error:
            await answer.fail(await self._why_never(asked) or of(error))
        except Exception as error:
            await answer.fail(_told(error))

    async def _why_never(self, asked: Asked) -> ApiError | None:
        """Clients try again after a 503: that must not be the answer where it is of no use."""
        try:
            return None if asked.work else listing.why_never(await self._keeper.look(), asked)
        except MillwrightError:
            return None


_ASKED: Mapping[str, Callable[[bytes], Asked]] = {
    "/v1/chat/completions": lambda body: shaping.chat(parse(ChatRequest, body)),
    "/v1/completions": lambda body: shaping.text(parse(CompletionRequest, body)),
    "/v1/embeddings": lambda body: shaping.vectors(parse(EmbeddingRequest, body)),
}


def _told(error: Exception) -> ApiError:
    """What the client hears. This is the edge: what nobody foresaw is logged, and no more is said of it."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, MillwrightError):
        return of(error)
    if isinstance(error, DatabaseError | InterfaceError):
        log.warning("the database is away: %s", error)
        return ApiError(503, "the database is away", "server_error", headers=(("Retry-After", "5"),))
    log.error("a request for a model failed", exc_info=error)
    return ApiError(500, "the box made a mistake; its log says which", "server_error")


async def _body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Raises ApiError with 413."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        raise _too_large()
    found = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        found += message.get("body", b"")
        if len(found) > LARGEST_BODY:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(found)


def _wish(asked: Asked, headers: Mapping[bytes, bytes], by: Principal) -> Wish:
    return Wish(
        model="" if asked.work else asked.name,
        work=asked.work or (Work.EMBEDDINGS if isinstance(asked, AskedVectors) else Work.CHAT),
        needs=asked.needs,
        priority=_priority(headers),
        deadline=_deadline(headers),
        tokens=asked.longest,
        principal=by.name,
    )


def _deadline(headers: Mapping[bytes, bytes]) -> float:
    said = headers.get(b"x-millwright-deadline")
    if said is None:
        return DEADLINE
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_DEADLINE:
        raise invalid(f"X-Millwright-Deadline: seconds, above 0 and up to {LONGEST_DEADLINE:.0f}")
    return seconds


def _priority(headers: Mapping[bytes, bytes]) -> Priority:
    """What is asked for, but never more than a program may have."""
    said = headers.get(b"x-millwright-priority", b"normal").decode("latin-1").strip().lower()
    try:
        wanted = Priority(said)
    except ValueError:
        known = ", ".join(one.value for one in Priority)
        raise invalid(f"X-Millwright-Priority: one of {known}") from None
    return min(wanted, _HIGHEST, key=lambda one: one.rank)


def _only(method: str, allowed: str) -> None:
    if method != allowed:
        raise ApiError(405, f"this takes {allowed}", headers=(("Allow", allowed),))


def _too_large() -> ApiError:
    return ApiError(413, f"a request has at most {LARGEST_BODY} bytes")
