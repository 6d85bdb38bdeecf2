"""The keys of a WeCom app in a platform configuration."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import RemoteConfig
from appliance.bridges.secrets import Secret
from appliance.lib.said import say

_COMPANY = re.compile(r"[A-Za-z0-9_-]{6,64}")
_RECEIVERS = re.compile(r"@all|party:[0-9]+(\|[0-9]+)*|tag:[0-9]+(\|[0-9]+)*|[\w.@-]+(\|[\w.@-]+)*", re.ASCII)


def company(text: str) -> str:
    """Raises ValueError."""
    if not _COMPANY.fullmatch(text):
        raise ValueError(
            say("expected the Company ID, such as ww5823bf96d3bd56c7; it stands under My Company")
        )
    return text


def receivers_named(text: str) -> str:
    """Raises ValueError."""
    if not _RECEIVERS.fullmatch(text) or len(text) > 200:
        raise ValueError(say("expected members (ann or ann|bob), @all, party:2 or tag:3"))
    return text


class WecomConfig(RemoteConfig):
    """An app that the company made for itself. People can write to the box only where there is a ``webhook``."""

    corp_id: Annotated[str, AfterValidator(company), Field(title="Company ID")]
    """Such as `ww5823bf96d3bd56c7`; it stands under My Company."""
    agent_id: Annotated[int, Field(ge=1, title="AgentId")]
    """The app's number, on its page."""
    auth: Secret = Field(title="App's secret")
    """Beside the AgentId; it is shown in the WeCom app of whoever asks for it."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = Field(None, title="Webhook")
    """Where WeCom is to call this box. Without it people cannot write to the box."""
    token: Secret | None = Field(None, title="Token")
    """Proves who calls; needed beside the webhook. Under Receive messages on the app's page."""
    encoding_aes_key: Secret | None = Field(None, title="EncodingAESKey")
    """Hides what is said: 43 letters and digits, beside the Token."""
    conversation: Annotated[str, AfterValidator(receivers_named)] | None = Field(
        None, title="Where messages go"
    )
    """Of messages without a recipient: members (`ann|bob`, `@all`), `party:2` or `tag:3`."""
    api_root: Annotated[str, AfterValidator(service_address)] | None = Field(None, title="Another server")
    """Another server of that API, for a private deployment."""

    @model_validator(mode="after")
    def _proved(self) -> "WecomConfig":
        if self.webhook and (self.token is None or self.encoding_aes_key is None):
            raise ValueError(
                say(
                    "expected token and encoding_aes_key beside webhook: they stand under Receive messages "
                    "on the app's page"
                )
            )
        return self
