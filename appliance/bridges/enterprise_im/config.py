"""The keys of Feishu / Lark in a platform configuration."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import PlatformConfig
from appliance.bridges.secrets import Proxy, Secret

HOSTS = {"feishu": "https://open.feishu.cn", "lark": "https://open.larksuite.com"}
TITLES = {"feishu": "Feishu", "lark": "Lark"}


class AppCredentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    app_id: Secret
    app_secret: Secret


class EnterpriseImConfig(PlatformConfig):
    """A self-built app. Without ``webhook`` the box keeps a long connection, which works behind any router."""

    auth: AppCredentials
    host: Literal["feishu", "lark"] = "feishu"
    """Two platforms with one API: ``feishu`` (China) and ``lark`` (elsewhere)."""
    api_root: Annotated[str, AfterValidator(service_address)] | None = None
    """Another server of that API, for a private deployment."""
    chat_id: Annotated[str, StringConstraints(min_length=3, max_length=100)] | None = None
    """Where messages without a recipient go: a chat (``oc_…``) or a person (``ou_…``)."""
    tenant_key: str | None = None
    """Events of another company are refused."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = None
    """Where the platform is to call this box."""
    encrypt_key: Secret | None = None
    """Proves who calls; without it nobody is believed."""
    verification_token: Secret | None = None
    """Looked at too, where it is given."""
    proxy: Proxy | None = None

    @model_validator(mode="after")
    def _proved(self) -> "EnterpriseImConfig":
        if self.webhook and self.encrypt_key is None:
            raise ValueError(
                "expected encrypt_key beside webhook: the Encrypt Key of the app's page Events & callbacks"
            )
        return self

    @property
    def root(self) -> str:
        return self.api_root or HOSTS[self.host]

    @property
    def title(self) -> str:
        return TITLES[self.host]
