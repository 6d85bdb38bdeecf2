"""``http``: call an API. Confirmed by its status."""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, Strict, model_validator

from appliance.actions.addresses import AddressRefused, NameNotFound, resolve, split
from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    StateReader,
    Status,
    StepContext,
    StepResult,
    TargetAway,
    Written,
)
from appliance.actions.http_auth import Auth, authorization
from appliance.actions.secret_places import opened
from appliance.actions.targets import TargetParams
from appliance.expressions import Tree
from appliance.expressions.fields import TextField, TreeField
from appliance.lib.authorities import authorities
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.fields import Duration
from appliance.lib.masking import KNOWN

if TYPE_CHECKING:
    import httpx

LARGEST = 1024 * 1024
CONNECTING = 5.0
"""Seconds for which a step that may wait for its target tries to connect, before others can see that it waits."""
SHOWN_HEADERS = ("content-type", "location", "retry-after")


class Method(StrEnum):
    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class HttpParams(TargetParams):
    valid_for: Duration | None = None
    """With it a step whose address cannot be reached waits for it, in order with others that do, and acts no later
    than this after it was first to act; then it fails. Without it, it fails at once where nobody answers."""
    url: TextField
    """Where: http or https. Values of an expression are not escaped: use ``query`` for them."""
    method: Method = Method.GET
    """GET, HEAD, POST, PUT, PATCH or DELETE."""
    query: dict[str, TextField] = {}
    """Added to the URL, escaped."""
    headers: dict[str, TextField] = {}
    """Request headers. ``secret:NAME``, alone or after a scheme as in ``Token secret:NAME``, is a stored secret."""
    auth: Auth | None = None
    """Who asks, by a stored secret: `{user: ana, password: secret:NAME}`, or `{bearer: secret:NAME}`."""
    body: TreeField = Tree(None)
    """Text as it is, anything else as JSON. A text in it that is ``secret:NAME`` is a stored secret."""
    idempotency_key: Annotated[bool, Strict()] | TextField = False
    """``true`` sends ``Idempotency-Key: run/step``, a text sends itself, for receivers that drop a second request with
    the same key. A text of your own also holds over runs."""
    allow_private: bool = False
    """Whether private addresses (this box, the plant's network) may be reached."""
    ok_status: tuple[int, ...] = Field(default=())
    """Statuses that mean success; 200 to 299 where none is given."""

    @model_validator(mode="after")
    def _one_authorization(self) -> "HttpParams":
        if self.auth and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("both auth: and a header Authorization: keep one of them")
        return self


class HttpAction(ActionKind[HttpParams]):
    name = "http"
    params = HttpParams
    default_timeout = 30.0
    secret_fields = frozenset({"headers", "auth", "body"})

    def written(self, params: HttpParams) -> Iterable[Written]:
        if params.url.is_literal:
            yield "url", lambda: split(params.url.source)

    def effect(self, params: HttpParams) -> EffectClass:
        if params.method in (Method.GET, Method.HEAD):
            return EffectClass.IDEMPOTENT
        return EffectClass.KEYED if params.idempotency_key else EffectClass.UNSAFE

    def arguments(
        self, params: HttpParams, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        rendered = super().arguments(params, scope, state)
        return {k: v for k, v in rendered.items() if v or k != "valid_for"}

    def target(self, arguments: JsonObject) -> str:
        """Of a step that waits for its target at all: without ``valid_for`` it fails where that is away."""
        if "valid_for" not in arguments:
            return ""
        try:
            scheme, host, port = split(str(arguments["url"]))
        except AddressRefused:
            return ""
        return f"http:{scheme}://{host}:{port}"

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        import httpx  # at first use: ten MiB that most processes never need

        url = str(arguments["url"])
        if arguments["idempotency_key"] == "":
            return StepResult.failed("the idempotency key is empty", retryable=False)
        try:
            scheme, host, port = split(url)
            address = await resolve(host, port, bool(arguments["allow_private"]))
        except AddressRefused as error:
            return StepResult.failed(str(error), retryable=False)
        except NameNotFound as error:
            return _not_sent(str(error), arguments)
        try:
            whole = await opened(arguments, context.connect)
            headers = _headers(whole)
        except MillwrightError as error:
            return StepResult.failed(str(error), retryable=False)
        try:
            request = _request(whole, headers, context, url, host, address)
        except (httpx.InvalidURL, UnicodeError) as error:
            return StepResult.failed(f"this cannot be sent: {error}", retryable=False)
        try:
            async with httpx.AsyncClient(
                verify=authorities(), trust_env=False, follow_redirects=False, timeout=context.timeout
            ) as client:
                response, body, cut = await _send(client, request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return _not_sent(f"{scheme}://{host}:{port} cannot be reached: {error}", arguments)
        except httpx.LocalProtocolError:
            # Nothing was sent; and what it says quotes the header, which may hold a secret.
            return StepResult.failed(
                "a header or the URL holds characters that cannot be sent", retryable=False
            )
        except httpx.HTTPError as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            return StepResult(Status.UNKNOWN, error=f"no complete answer from {host}: {said}")
        return _result(response, body, cut, arguments)


def _connecting(arguments: JsonObject, context: StepContext) -> float:
    """Seconds. Whoever is connected acts, so that nothing begins after it means nothing any more."""
    if "valid_for" not in arguments:
        return context.timeout
    return min(CONNECTING, context.timeout, context.act_within or CONNECTING)


def _not_sent(said: str, arguments: JsonObject) -> StepResult:
    """Nothing was done. Raises TargetAway where the step says how long it may wait."""
    if "valid_for" in arguments:
        raise TargetAway(said)
    return StepResult.failed(said)


def _headers(opened: JsonObject) -> dict[str, str]:
    """The request's headers. Raises ActionRefused."""
    headers = {str(k): str(v) for k, v in _mapping(opened["headers"]).items()}
    if auth := _mapping(opened.get("auth")):
        headers["Authorization"] = authorization(auth)
    return headers


def _request(
    arguments: JsonObject, headers: dict[str, str], context: StepContext, url: str, host: str, address: str
) -> "httpx.Request":
    import httpx

    key = arguments["idempotency_key"]
    if key:
        headers["Idempotency-Key"] = key if isinstance(key, str) else context.key
    body = arguments["body"]
    content: bytes | None = None
    if isinstance(body, str):
        content = body.encode()
    elif body is not None:
        content = json.dumps(body, ensure_ascii=False).encode()
        headers.setdefault("Content-Type", "application/json")
    parts = urlsplit(url)
    literal = f"[{address}]" if ":" in address else address
    netloc = f"{literal}:{parts.port}" if parts.port else literal
    pinned = httpx.URL(urlunsplit(parts._replace(netloc=netloc)))
    query = {str(k): _text(v) for k, v in _mapping(arguments["query"]).items()}
    headers["Host"] = parts.netloc
    return httpx.Request(
        str(arguments["method"]),
        pinned.copy_merge_params(query) if query else pinned,
        headers=headers,
        content=content,
        extensions={
            "sni_hostname": host,
            "timeout": httpx.Timeout(context.timeout, connect=_connecting(arguments, context)).as_dict(),
        },
    )


async def _send(
    client: "httpx.AsyncClient", request: "httpx.Request"
) -> tuple["httpx.Response", bytes, bool]:
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST:
                return response, bytes(body[:LARGEST]), True
        return response, bytes(body), False
    finally:
        await response.aclose()


def _result(response: "httpx.Response", body: bytes, cut: bool, arguments: JsonObject) -> StepResult:
    try:
        text = body.decode(response.encoding or "utf-8", errors="replace")
    except (LookupError, UnicodeError):
        text = body.decode("utf-8", errors="replace")
    if cut:
        text = KNOWN.cut_off(text)
    output: JsonValue = text
    if "json" in response.headers.get("content-type", "") and not cut:
        try:
            output = json.loads(text)
        except (ValueError, RecursionError):
            output = text
    detail: JsonObject = {"status": response.status_code, "bytes": len(body), "cut": cut}
    detail["headers"] = {k: response.headers[k] for k in SHOWN_HEADERS if k in response.headers}
    wanted = arguments["ok_status"]
    fine = response.status_code in wanted if isinstance(wanted, list) and wanted else response.is_success
    if fine:
        return StepResult(Status.SUCCEEDED, output, detail)
    server_failed = response.status_code >= 500
    repeatable = arguments["method"] in (Method.GET, Method.HEAD) or bool(arguments["idempotency_key"])
    permanent = not server_failed and not (repeatable and response.status_code in (408, 425, 429))
    return StepResult(
        # What a server that failed has done nobody knows; for a step that may be repeated it is a failure.
        Status.UNKNOWN if server_failed else Status.FAILED,
        output,
        detail,
        error=f"status {response.status_code} {response.reason_phrase}".rstrip(),
        retryable=not permanent,
    )


def _mapping(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
