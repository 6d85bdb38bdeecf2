"""The keys of a generic webhook: your own program at the other end."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import RemoteConfig
from appliance.bridges.secrets import Secret
from appliance.lib.said import say


class WebhookConfig(RemoteConfig):
    """``auth`` is the shared secret that signs both ways; at least one of ``url`` and ``webhook`` is there."""

    auth: Secret = Field(title="Shared secret")
    """Both ends sign with it: any long text that your program knows too."""
    url: Annotated[str, AfterValidator(service_address)] | None = Field(None, title="Address of your program")
    """Where the box sends messages. Without it the platform only receives."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = Field(None, title="Webhook")
    """Where your program calls this box. Without it the platform only sends."""
    conversation: str | None = Field(None, title="Where messages go")
    """Of messages without a recipient: any word that your program knows."""

    @model_validator(mode="after")
    def _some_way(self) -> "WebhookConfig":
        if self.url is None and self.webhook is None:
            raise ValueError(say("expected url (the box sends), webhook (the box is called), or both"))
        return self

    @property
    def host(self) -> str:
        return urlsplit(self.url or "").hostname or ""
