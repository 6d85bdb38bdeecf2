"""Telegram's keys in a platform configuration."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import PlatformConfig
from appliance.bridges.secrets import Proxy, Secret


class TelegramConfig(PlatformConfig):
    """``auth`` is the bot's token, or the name of the variable that holds it."""

    auth: Secret
    webhook: Annotated[str, AfterValidator(own_address)] | None = None
    """Where Telegram is to call this box; without it, or where Telegram refuses it, the box polls."""
    message_parser: Literal["markdown_v2", "plain"] = "plain"
    """How texts are sent. They look the same: every character of a text is escaped."""
    chat_id: int | str | None = None
    """Where messages without a recipient go. ``-100123/45`` is a topic of a group."""
    proxy: Proxy | None = None
    api_root: Annotated[str, AfterValidator(service_address)] | None = None
    """Another Bot API server, for example your own."""
