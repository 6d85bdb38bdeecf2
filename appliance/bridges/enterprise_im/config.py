"""The keys of Feishu / Lark in a platform configuration."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from appliance.bridges.addresses import own_address, service_address
from appliance.bridges.ports import RemoteConfig
from appliance.bridges.secrets import Secret
from appliance.lib.said import say

HOSTS = {"feishu": "https://open.feishu.cn", "lark": "https://open.larksuite.com"}
TITLES = {"feishu": "Feishu", "lark": "Lark"}


class AppCredentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    app_id: Secret = Field(title="App ID")
    """Such as `cli_a1b2c3d4e5f6`; on the app's page Credentials & Basic Info."""
    app_secret: Secret = Field(title="App Secret")
    """Beside the App ID."""


class EnterpriseImConfig(RemoteConfig):
    """A self-built app. Without ``webhook`` the box keeps a long connection, which works behind any router."""

    auth: AppCredentials = Field(title="The app")
    """Its credentials."""
    host: Literal["feishu", "lark"] = Field("feishu", title="Platform")
    """Two platforms with one API: `feishu` (China) and `lark` (elsewhere)."""
    api_root: Annotated[str, AfterValidator(service_address)] | None = Field(None, title="Another server")
    """Another server of that API, for a private deployment."""
    chat_id: Annotated[str, StringConstraints(min_length=3, max_length=100)] | None = Field(
        None, title="Where messages go"
    )
    """Of messages without a recipient: a chat `oc_…`, in which the bot must be, or a person `ou_…`."""
    tenant_key: str | None = Field(None, title="Company")
    """Its tenant key: events of another company are refused."""
    webhook: Annotated[str, AfterValidator(own_address)] | None = Field(None, title="Webhook")
    """Where the platform is to call this box. Without it the box keeps a long connection, which works behind any
    router."""
    encrypt_key: Secret | None = Field(None, title="Encrypt Key")
    """Proves who calls; needed beside the webhook. On the app's page Events & callbacks."""
    verification_token: Secret | None = Field(None, title="Verification Token")
    """Looked at too, where it is given."""

    @model_validator(mode="after")
    def _proved(self) -> "EnterpriseImConfig":
        if self.webhook and self.encrypt_key is None:
            raise ValueError(
                say(
                    "expected encrypt_key beside webhook: the Encrypt Key of the app's page Events & callbacks"
                )
            )
        return self

    @property
    def root(self) -> str:
        return self.api_root or HOSTS[self.host]

    @property
    def title(self) -> str:
        return TITLES[self.host]
