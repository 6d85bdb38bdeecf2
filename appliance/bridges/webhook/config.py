"""The keys of a generic webhook: your own program at the other end."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import PlatformConfig
from appliance.bridges.secrets import Proxy, Secret


class WebhookConfig(PlatformConfig):
    """``auth`` is the shared secret that signs both ways; at least one of ``url`` and ``webhook`` is there."""

    auth: Secret
    url: Annotated[str, AfterValidator(service_address)] | None = None
    """Where the box sends messages."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = None
    """Where your program calls this box: its path is served."""
    conversation: str | None = None
    """Where messages without a recipient go; any word that your program knows."""
    proxy: Proxy | None = None

    @model_validator(mode="after")
    def _some_way(self) -> "WebhookConfig":
        if self.url is None and self.webhook is None:
            raise ValueError("expected url (the box sends), webhook (the box is called), or both")
        return self

    @property
    def host(self) -> str:
        return urlsplit(self.url or "").hostname or ""
