"""The keys of a WeCom app in a platform configuration."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import PlatformConfig
from appliance.bridges.secrets import Proxy, Secret

_COMPANY = re.compile(r"[A-Za-z0-9_-]{6,64}")
_RECEIVERS = re.compile(r"@all|party:[0-9]+(\|[0-9]+)*|tag:[0-9]+(\|[0-9]+)*|[\w.@-]+(\|[\w.@-]+)*", re.ASCII)


def company(text: str) -> str:
    """Raises ValueError."""
    if not _COMPANY.fullmatch(text):
        raise ValueError("expected the Company ID, such as ww5823bf96d3bd56c7; it stands under My Company")
    return text


def receivers_named(text: str) -> str:
    """Raises ValueError."""
    if not _RECEIVERS.fullmatch(text) or len(text) > 200:
        raise ValueError("expected members (ann or ann|bob), @all, party:2 or tag:3")
    return text


class WecomConfig(PlatformConfig):
    """An app that the company made for itself. People can write to the box only where there is a ``webhook``."""

    corp_id: Annotated[str, AfterValidator(company)]
    agent_id: Annotated[int, Field(ge=1)]
    auth: Secret
    """The app's secret."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = None
    """Where WeCom is to call this box: its path is served."""
    token: Secret | None = None
    """Proves who calls."""
    encoding_aes_key: Secret | None = None
    """Hides what is said: 43 letters and digits."""
    conversation: Annotated[str, AfterValidator(receivers_named)] | None = None
    """Where messages without a recipient go: members (``ann|bob``, ``@all``), ``party:2`` or ``tag:3``."""
    proxy: Proxy | None = None
    api_root: Annotated[str, AfterValidator(service_address)] | None = None
    """Another server of that API, for a private deployment."""

    @model_validator(mode="after")
    def _proved(self) -> "WecomConfig":
        if self.webhook and (self.token is None or self.encoding_aes_key is None):
            raise ValueError(
                "expected token and encoding_aes_key beside webhook: they stand under Receive messages "
                "on the app's page"
            )
        return self
