"""A talk over Streamable HTTP, by the official SDK. It reaches one address and no other, and takes only so much."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from appliance.actions.addresses import AddressRefused, NameNotFound, PrivateAddress, resolve, split
from appliance.agent.errors import McpAway, McpRefused, McpUnclear
from appliance.agent.mcp.client.domain import ServerSpec
from appliance.agent.mcp.client.driver import MOST_PAGES, MOST_TOOLS
from appliance.agent.mcp.client.talking import Answer, Talked, Wanted, answer_of, seen
from appliance.lib.authorities import authorities
from appliance.lib.errors import MillwrightError

if TYPE_CHECKING:
    import httpx2
    from mcp import Client

LARGEST = 4 << 20
"""Bytes that a server may say in one talk."""
CONNECTING = 5.0
IDENTITY = "identity"
"""Nothing packed is taken: what is counted is what comes in, and a few bytes can be packed from any number."""


class OverHttp:
    def __init__(self, spec: ServerSpec) -> None:
        self._spec = spec

    async def __call__(self, secret: str, wanted: Wanted | None, seconds: float) -> Talked:
        talk = _Conversation(wanted)
        try:
            async with asyncio.timeout(seconds):
                return await self._talk(secret, talk)
        except TimeoutError:
            raise talk.ended(f"{self._spec.name} did not answer within {seconds:g} s") from None
        except MillwrightError:
            raise
        except Exception as error:
            raise talk.ended(f"{self._spec.name}: {_said(error)}", lies=_is_lie(error)) from error

    async def _talk(self, secret: str, talk: "_Conversation") -> Talked:
        import httpx2  # both at first use: a worker that calls no tool of others never loads them
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        host, address = await self._address()
        headers = {"Accept-Encoding": IDENTITY, **({"Authorization": f"Bearer {secret}"} if secret else {})}
        patience = httpx2.Timeout(None, connect=CONNECTING)
        only = _only_there(self._spec.url, host, address)
        async with (
            httpx2.AsyncClient(transport=only, headers=headers, timeout=patience, trust_env=False) as http,
            Client(streamable_http_client(self._spec.url, http_client=http), cache=None) as client,
        ):
            return await talk.lead(client)

    async def _address(self) -> tuple[str, str]:
        """The host, and where it is now. Raises McpAway, McpRefused."""
        try:
            _, host, port = split(self._spec.url)
            return host, await resolve(host, port, self._spec.private)
        except NameNotFound as error:
            raise McpAway(error.message) from error
        except PrivateAddress as error:
            hint = "where it is meant to, say so: mcp add NAME --private, or the tick on its page"
            raise McpRefused(f"{error.message}: it lies in the plant's own network", hint=hint) from error
        except AddressRefused as error:
            raise McpRefused(error.message) from error


class _Conversation:
    """``sent``: whether the call may have arrived."""

    def __init__(self, wanted: Wanted | None) -> None:
        self._wanted = wanted
        self._sent = False
        self._done: Talked | None = None

    async def lead(self, client: "Client") -> Talked:
        tools: list[Any] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None or len(tools) > MOST_TOOLS:
                break
        found = tuple(
            seen(one.name, one.description, one.input_schema, _hints(one)) for one in tools[:MOST_TOOLS]
        )
        answer = await self._call(client, found) if self._wanted is not None else None
        return Talked(found, answer)

    async def _call(self, client: "Client", found: tuple[Any, ...]) -> Answer | None:
        wanted = self._wanted
        assert wanted is not None, "it was asked for"
        if {one.digest for one in found if one.name == wanted.tool} != {wanted.digest}:
            return None
        self._sent = True
        result = await client.call_tool(wanted.tool, dict(wanted.arguments))
        said = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return answer_of(said.get("content", []), result.structured_content, result.is_error)

    def ended(self, why: str, *, lies: bool = False) -> MillwrightError:
        """What it is that there is no answer."""
        if self._sent:
            return McpUnclear(why)
        return McpRefused(why) if lies else McpAway(why)


def _hints(tool: Any) -> dict[str, Any]:
    if tool.annotations is None:
        return {}
    hints: dict[str, Any] = tool.annotations.model_dump(by_alias=True, exclude_none=True)
    return hints


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error


def _said(error: BaseException) -> str:
    inner = _innermost(error)
    return (str(inner).strip() or type(inner).__name__)[:300]


def _is_lie(error: BaseException) -> bool:
    """Whether it answered, and not as the protocol says or its place allows; then trying again brings nothing."""
    import httpx2

    inner = _innermost(error)
    return isinstance(inner, TooMuch | Packed) or not isinstance(inner, httpx2.TransportError | OSError)


class TooMuch(Exception):
    """The server says more than is taken."""


class Packed(Exception):
    """The server sends what it was not asked for: an answer that would have to be unpacked."""


def _only_there(url: str, host: str, address: str) -> "httpx2.AsyncBaseTransport":
    """Requests go to the address that was looked up, and to no other origin. The certificate is the host's own."""
    import httpx2

    there = httpx2.URL(url)
    inner = httpx2.AsyncHTTPTransport(verify=authorities())
    room = [LARGEST]

    class Counted(httpx2.AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self._stream:
                room[0] -= len(piece)
                if room[0] < 0:
                    raise TooMuch(f"it says more than {LARGEST >> 20} MiB")
                yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    class OnlyThere(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            asked = request.url
            if (asked.scheme, asked.host, asked.port) != (there.scheme, there.host, there.port):
                raise httpx2.UnsupportedProtocol(f"{asked.host} is not where this server is")
            sent = httpx2.Request(
                request.method,
                asked.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            response = await inner.handle_async_request(sent)
            if response.headers.get("content-encoding", IDENTITY).strip().lower() != IDENTITY:
                await response.aclose()
                raise Packed("its answer is compressed, which it was asked not to do")
            return httpx2.Response(
                response.status_code,
                headers=response.headers,
                stream=Counted(response.stream),
                extensions=response.extensions,
            )

        async def aclose(self) -> None:
            await inner.aclose()

    return OnlyThere()
