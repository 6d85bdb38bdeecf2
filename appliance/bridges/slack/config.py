"""Slack's keys in a platform configuration."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import PlatformConfig
from appliance.bridges.secrets import Proxy, Secret

API_ROOT = "https://slack.com/api"


class SlackConfig(PlatformConfig):
    """``auth`` is the bot token (``xoxb-``). With neither ``app_token`` nor ``webhook`` the box only speaks."""

    auth: Secret
    app_token: Secret | None = None
    """The app-level token (``xapp-``) with the scope ``connections:write``: the box connects to Slack (Socket Mode)."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = None
    """Where Slack calls this box: the request URL of both the events and the interactivity."""
    signing_secret: Secret | None = None
    """By which Slack proves those calls."""
    channel: str | None = Field(None, min_length=1, max_length=200)
    """Where messages without a recipient go: ``C0123``, a person ``U0123``, or a thread ``C0123/1699000000.000100``."""
    team: str | None = Field(None, pattern=r"^T[A-Z0-9]+$")
    """The workspace's id: what comes from another one is not listened to."""
    proxy: Proxy | None = None
    api_root: Annotated[str, AfterValidator(service_address)] | None = None
    """Another Web API, for example GovSlack's."""

    @model_validator(mode="after")
    def _provable(self) -> "SlackConfig":
        if self.webhook and not self.signing_secret:
            raise ValueError("expected signing_secret beside webhook: by it Slack proves its calls")
        if self.signing_secret and not self.webhook:
            raise ValueError("expected webhook beside signing_secret: the address that Slack calls")
        return self

    @property
    def root(self) -> str:
        return self.api_root or API_ROOT
