"""Reading from servers outside: which address is asked, where a redirect may lead, who gets the token."""

import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import httpx

from appliance.inference.errors import ModelRefused

_MOST_REDIRECTS = 5
_CONNECT, _SILENCE = 20.0, 60.0
"""Seconds until a connection stands, and without a byte."""


class Outside:
    """``proxy``: ``http://…`` or ``socks5://…``; ``token``: sent to the host of ``home`` alone, as a bearer."""

    def __init__(self, home: str, *, proxy: str = "", token: str = "") -> None:
        self._host = httpx.URL(home).host
        self._token = token
        timeout = httpx.Timeout(_SILENCE, connect=_CONNECT)
        try:
            self._client = httpx.Client(proxy=proxy or None, timeout=timeout, trust_env=False)
        except (ValueError, httpx.InvalidURL) as error:
            raise ModelRefused("the proxy's address is wrong", hint="http://… or socks5://…") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @contextlib.contextmanager
    def get(self, address: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The answer, behind redirects; its content is still to be read. Raises ModelRefused, httpx.TransportError."""
        url = checked(address)
        for _ in range(_MOST_REDIRECTS + 1):
            with self._client.stream("GET", url, headers=self._with_token(url, headers)) as answer:
                if not answer.has_redirect_location:
                    yield answer
                    return
                url = _redirected(url, answer.headers["location"])
        raise ModelRefused(
            f"the server sends from one address to the next, more than {_MOST_REDIRECTS} times"
        )

    def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Raises ModelRefused, httpx.TransportError."""
        url = checked(address)
        return self._client.post(url, content=body, headers=self._with_token(url, headers))

    def _with_token(self, url: httpx.URL, headers: Mapping[str, str]) -> dict[str, str]:
        own = {"Accept-Encoding": "identity", **headers}
        if self._token and url.host == self._host:
            own["Authorization"] = f"Bearer {self._token}"
        return own


def checked(address: str) -> httpx.URL:
    """Raises ModelRefused for anything but http and https."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ModelRefused("the address cannot be read") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ModelRefused(f"models come by http or https, not by `{url.scheme}`")
    return url


def _redirected(url: httpx.URL, location: str) -> httpx.URL:
    try:
        target = url.join(location)
    except httpx.InvalidURL as error:
        raise ModelRefused("the server redirects to an address that cannot be read") from error
    if target.scheme not in ("http", "https") or not target.host:
        raise ModelRefused(f"the server redirects to an address of the kind `{target.scheme}`")
    if url.scheme == "https" and target.scheme != "https":
        raise ModelRefused("the server redirects from https to http")
    return target


def shown(address: str) -> str:
    """Without a password, a token or a signature: as it may stand in a manifest and in the record."""
    url = httpx.URL(address)
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
