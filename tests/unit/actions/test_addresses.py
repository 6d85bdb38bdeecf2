"""Which addresses the ``http`` action may reach."""

import ipaddress
from ipaddress import ip_address
from typing import Any

import pytest

from appliance.actions.addresses import AddressRefused, NameNotFound, is_metadata, is_public, resolve, split

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "::1",
    "::",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "2002:0a00:0001::1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
]
METADATA = [
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]


@pytest.mark.parametrize("text", [*PRIVATE, *METADATA])
def test_private_and_metadata_addresses_are_not_public_however_they_are_written(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_the_internet_at_large_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))
    assert not is_metadata(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", METADATA)
async def test_metadata_is_refused_even_where_private_is_allowed(text: str) -> None:
    with pytest.raises(AddressRefused, match="metadata"):
        await resolve(text, 80, allow_private=True)


@pytest.mark.parametrize("text", ["127.0.0.1", "10.1.2.3", "::1", "::ffff:10.0.0.1"])
async def test_private_addresses_need_the_step_s_word(text: str) -> None:
    with pytest.raises(AddressRefused, match="private"):
        await resolve(text, 80, allow_private=False)
    assert ip_address(await resolve(text, 80, allow_private=True)) == ip_address(text)


@pytest.mark.parametrize("text", ["0x7f000001", "2130706433", "127.1", "0177.0.0.1"])
async def test_odd_spellings_of_an_address_do_not_get_past(text: str) -> None:
    """The resolver reads them as 127.0.0.1; what counts is the address, not the text."""
    with pytest.raises((AddressRefused, NameNotFound)):
        await resolve(text, 80, allow_private=False)


async def test_one_private_answer_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop:
        async def getaddrinfo(self, *_: Any, **__: Any) -> list[Any]:
            return [(0, 0, 0, "", ("1.1.1.1", 80)), (0, 0, 0, "", ("10.0.0.1", 80))]

    monkeypatch.setattr("appliance.actions.addresses.asyncio.get_running_loop", Loop)
    with pytest.raises(AddressRefused):
        await resolve("rebind.example", 80, allow_private=False)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://example.org/a", ("http", "example.org", 80)),
        ("https://example.org", ("https", "example.org", 443)),
        ("https://[::1]:8443/x", ("https", "::1", 8443)),
        ("HTTP://EXAMPLE.org:81", ("http", "example.org", 81)),
    ],
)
def test_a_url_is_taken_apart(url: str, parts: tuple[str, str, int]) -> None:
    assert split(url) == parts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "ftp://example.org",
        "file:///etc/passwd",
        "gopher://x",
        "http://",
        "http:///path",
        "http://user:pw@example.org/",
        "http://user@example.org/",
        "http://example.org:99999/",
        "http://example.org:port/",
        "http://[::1/",
        "unix:///run/docker.sock",
    ],
)
def test_what_is_not_a_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        split(url)
