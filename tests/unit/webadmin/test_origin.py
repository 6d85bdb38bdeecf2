"""A page is the box's own when scheme, host and port are those that it was asked under."""

import pytest
from pytest_django import Settings

from webadmin.origin import is_own


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "own"),
    [
        ("http://box:8000", "box:8000", "ws", True),
        ("http://BOX", "box", "ws", True),
        ("http://box:80", "box", "ws", True),
        ("https://box", "box:443", "wss", True),
        ("https://box", "box", "ws", False),
        ("http://box", "box", "wss", False),
        ("http://box:8001", "box:8000", "ws", False),
        ("http://box.evil", "box", "ws", False),
        ("http://evil", "evil", "ws", False),  # a host that is not the box's
        ("https://plant.example", "box", "ws", True),  # the public address, behind a proxy
        ("http://plant.example", "box", "ws", False),
        ("null", "box", "ws", False),
        ("", "box", "ws", False),
        ("", "", "ws", False),
        ("http://box/path", "box", "ws", False),
        ("http://a@box", "box", "ws", False),
        ("http://box:99999", "box", "ws", False),
        ("file://box", "box", "ws", False),
        ("http://[::1]:8000", "[::1]:8000", "ws", True),
    ],
)
def test_whose_page_it_is(settings: Settings, origin: str, host: str, scheme: str, own: bool) -> None:
    settings.ALLOWED_HOSTS = ["box", "[::1]"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://plant.example"]
    assert is_own(origin, host, scheme) is own
