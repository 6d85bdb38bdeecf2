"""Telegram's keys in a platform configuration."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator

from appliance.bridges.ports import PlatformConfig
from appliance.bridges.secrets import ProxyUrl, Secret
from appliance.safety.secrets import is_reference

_PROXIES = ("http", "https", "socks5", "socks5h")


def _webhook(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or len(parts.path) < 2 or len(url) > 300:
        raise ValueError(
            "expected an https address with a path, such as https://box.example.com/api/telegram"
        )
    return url


def _root(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected the address of a Bot API server, such as https://api.telegram.org")
    return url.rstrip("/")


def _proxy(proxy: ProxyUrl) -> ProxyUrl:
    parts = urlsplit(proxy.root)
    if not is_reference(proxy.root) and (parts.scheme not in _PROXIES or not parts.hostname):
        raise ValueError("expected an address such as socks5://host:1080 or http://host:3128")
    return proxy


class TelegramConfig(PlatformConfig):
    """``auth`` is the bot's token, or the name of the variable that holds it."""

    auth: Secret
    webhook: Annotated[str, AfterValidator(_webhook)] | None = None
    """Where Telegram is to call this box; without it, or where Telegram refuses it, the box polls."""
    message_parser: Literal["markdown_v2", "plain"] = "plain"
    """How texts are sent. They look the same: every character of a text is escaped."""
    chat_id: int | str | None = None
    """Where messages without a recipient go. ``-100123/45`` is a topic of a group."""
    proxy: Annotated[ProxyUrl, AfterValidator(_proxy)] | None = None
    api_root: Annotated[str, AfterValidator(_root)] | None = None
    """Another Bot API server, for example your own."""
