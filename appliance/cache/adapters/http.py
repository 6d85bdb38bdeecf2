"""The other box over HTTP: ``/api/v1/sync/…`` with a bearer token."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from appliance.cache.errors import MessageRefused, PeerAway, PeerFailed, PeerRefused
from appliance.cache.wire import Answers, Changes
from appliance.lib.jsontypes import JsonObject

if TYPE_CHECKING:
    import httpx

TIMEOUT, CONNECT_TIMEOUT = 10.0, 5.0
_CONFIGURATION = frozenset({401, 403, 404, 405, 423})
_LATER = frozenset({408, 425, 429, 502, 503, 504})
Body = TypeVar("Body", bound=BaseModel)


class HttpPeer:
    """One call, one connection: rounds are seconds apart, and the peer may have moved in between."""

    def __init__(self, url: str, token: str, transport: "httpx.BaseTransport | None" = None) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/sync"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._transport = transport

    def changes(self, after: str, prefixes: Sequence[str], limit: int) -> Changes:
        body: JsonObject = {"after": after, "prefixes": list(prefixes), "limit": limit}
        return self._call("changes", body, Changes)

    def push(self, messages: Sequence[JsonObject]) -> Answers:
        return self._call("push", {"messages": list(messages)}, Answers)

    def _call(self, what: str, body: JsonObject, kind: type[Body]) -> Body:
        import httpx  # at first use: ten MiB that a box without peers does not need

        timeout = httpx.Timeout(TIMEOUT, connect=CONNECT_TIMEOUT)
        try:
            with httpx.Client(transport=self._transport, timeout=timeout, headers=self._headers) as client:
                answer = client.post(f"{self._url}/{what}", json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PeerAway(f"no answer: {error or type(error).__name__}") from error
        if answer.is_success:
            try:
                return kind.model_validate_json(answer.content)
            except ValidationError as error:
                raise PeerRefused("what answers there is no box, or another version of one") from error
        raise _error(answer, what)


def _error(answer: "httpx.Response", what: str) -> Exception:
    said = f"{answer.status_code} {answer.reason_phrase}: {answer.text[:200]}"
    if answer.status_code in _LATER:
        return PeerAway(said)
    if answer.status_code in _CONFIGURATION or answer.is_redirect:
        return PeerRefused(said, hint="look at its address and its token")
    if what != "push":
        return PeerAway(said)
    return PeerFailed(said) if answer.is_server_error else MessageRefused(said)
