"""Telegram's keys in a platform configuration."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import RemoteConfig
from appliance.bridges.secrets import Secret


class TelegramConfig(RemoteConfig):
    """``auth`` is the bot's token, or the name of the variable that holds it."""

    auth: Secret = Field(title="Bot token")
    """What @BotFather gives for a bot, such as `110201543:AAHd…`."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = Field(None, title="Webhook")
    """Where Telegram is to call this box. Without it, or where Telegram refuses it, the box asks Telegram, which
    works behind any router."""
    message_parser: Literal["markdown_v2", "plain"] = Field("plain", title="How texts are sent")
    """They look the same: every character of a text is escaped."""
    chat_id: int | str | None = Field(None, title="Where messages go")
    """Of messages without a recipient: a chat's number; `-100123/45` is a topic of a group. Empty: to the first
    person who is linked."""
    api_root: Annotated[str, AfterValidator(service_address)] | None = Field(None, title="Another server")
    """Another Bot API server, for example your own."""
