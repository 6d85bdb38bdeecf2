"""HTTP to engines: small questions beside the answers of models."""

import ssl
from collections.abc import Mapping

import httpx

from appliance.lib.authorities import authorities


class Calls:
    """What a server is asked within so many seconds each. Raises httpx.HTTPError.

    Engines on this machine have no TLS, and the list of authorities is megabytes of memory: it is read when the first
    server is asked that has. ``trusted``: whom to believe instead of that list.
    """

    def __init__(self, within: float, trusted: ssl.SSLContext | None = None) -> None:
        self._within = within
        self._trusted = trusted
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self._client(url).get(url, headers=headers)

    async def post(
        self, url: str, body: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return await self._client(url).post(url, json=body, headers=headers)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def _client(self, url: str) -> httpx.AsyncClient:
        secure = url.startswith("https:")
        if secure not in self._clients:
            # One that knows no authority believes nobody, should it ever be used.
            verify = (self._trusted or authorities()) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._clients[secure] = httpx.AsyncClient(timeout=self._within, trust_env=False, verify=verify)
        return self._clients[secure]
