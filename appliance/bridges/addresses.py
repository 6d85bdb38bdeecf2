"""Addresses in a platform configuration."""

from urllib.parse import urlsplit

from appliance.lib.said import say


def own_address(url: str) -> str:
    """Where a platform calls this box. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or len(parts.path) < 2 or len(url) > 300:
        raise ValueError(
            say("expected an https address with a path, such as https://box.example.com/api/telegram")
        )
    return url


def service_address(url: str) -> str:
    """Where the box calls a platform. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > 1000:
        raise ValueError(say("expected an http or https address"))
    if parts.username or parts.password:
        raise ValueError(say("expected an address without a password; secrets have keys of their own"))
    return url.rstrip("/")
