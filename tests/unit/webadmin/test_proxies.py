"""Who calls is what a named proxy says, and else who connected."""

from ipaddress import ip_network
from typing import Any

import pytest

from webadmin.login.noted import ALL, EACH, Few
from webadmin.proxies import TrustedProxies

PROXIES = TrustedProxies(lambda *_: None, [ip_network("10.0.0.0/24"), ip_network("::1")])  # type: ignore[arg-type]  # nothing is passed on


def seen(client: str, scheme: str = "http", **headers: str) -> tuple[str, str, list[bytes]]:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "scheme": scheme, "client": [client, 1], "headers": given}
    found = PROXIES.seen(scope)
    return found["client"][0], found["scheme"], [name for name, _ in found["headers"]]


@pytest.mark.parametrize(
    ("client", "chain", "found"),
    [
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.7", "192.0.2.7"),  # the first one anybody may have invented
        ("10.0.0.1", "192.0.2.7, 10.0.0.2", "192.0.2.7"),  # two proxies in a row
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7, nonsense", "10.0.0.1"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("192.0.2.1", "127.0.0.1", "192.0.2.1"),
        ("192.0.2.1", "10.0.0.1", "192.0.2.1"),
    ],
)
def test_the_address_is_the_last_one_that_no_trusted_proxy_wrote_of_itself(
    client: str, chain: str, found: str
) -> None:
    assert seen(client, x_forwarded_for=chain)[0] == found


def test_tls_is_believed_of_a_named_proxy_alone() -> None:
    assert seen("10.0.0.1", x_forwarded_proto="https")[1] == "https"
    assert seen("10.0.0.1", "ws", x_forwarded_proto="https")[1] == "wss"
    assert seen("192.0.2.1", x_forwarded_proto="https")[1] == "http"


def test_nothing_behind_it_sees_what_was_claimed() -> None:
    for client in ("10.0.0.1", "192.0.2.1"):
        named = {
            "x_forwarded_for": "1.2.3.4",
            "X_Forwarded_Host": "evil",
            "forwarded": "for=1",
            "x_real_ip": "1",
        }
        assert seen(client, **named, host="box")[2] == [b"host"]


def test_a_flood_is_counted_and_not_written() -> None:
    now = [0.0]
    few = Few(now=lambda: now[0])
    now[0] = 100.0
    assert [few.passes("a") for _ in range(EACH + 3)] == [0] * EACH + [None] * 3
    assert few.passes("b") == 3
    assert sum(few.passes(f"c{number}") is not None for number in range(2 * ALL)) == ALL - EACH - 1
    now[0] += 61
    left_out = few.passes("a")
    assert left_out is not None
    assert left_out > ALL
