"""Slack's keys in a platform configuration."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import RemoteConfig
from appliance.bridges.secrets import Secret
from appliance.lib.said import say

API_ROOT = "https://slack.com/api"


class SlackConfig(RemoteConfig):
    """``auth`` is the bot token (``xoxb-``). With neither ``app_token`` nor ``webhook`` the box only speaks."""

    auth: Secret = Field(title="Bot token")
    """Begins with `xoxb-`; on the app's page OAuth & Permissions."""
    app_token: Secret | None = Field(None, title="App-level token")
    """Begins with `xapp-` and has the scope `connections:write`: with it the box connects to Slack (Socket Mode),
    which works behind any router."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = Field(None, title="Webhook")
    """Instead of the app-level token: where Slack calls this box. It is the request URL of both the events and the
    interactivity."""
    signing_secret: Secret | None = Field(None, title="Signing secret")
    """By which Slack proves its calls; on the app's page Basic Information. Only beside the webhook."""
    channel: str | None = Field(None, title="Where messages go", min_length=1, max_length=200)
    """Of messages without a recipient: a channel `C0123`, a person `U0123`, or a thread `C0123/1699000000.000100`."""
    team: str | None = Field(None, title="Workspace", pattern=r"^T[A-Z0-9]+$")
    """Its id, `T…`: what comes from another one is not listened to."""
    api_root: Annotated[str, AfterValidator(service_address)] | None = Field(None, title="Another server")
    """Another Web API, for example GovSlack's."""

    @model_validator(mode="after")
    def _provable(self) -> "SlackConfig":
        if self.webhook and not self.signing_secret:
            raise ValueError(say("expected signing_secret beside webhook: by it Slack proves its calls"))
        if self.signing_secret and not self.webhook:
            raise ValueError(say("expected webhook beside signing_secret: the address that Slack calls"))
        return self

    @property
    def root(self) -> str:
        return self.api_root or API_ROOT
