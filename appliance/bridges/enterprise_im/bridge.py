"""Feishu / Lark: its configuration is understood and kept; its bridge comes in a later version."""

from django.utils.translation import gettext_noop
from pydantic import BaseModel, ConfigDict

from appliance.bridges.capabilities import Capabilities, LengthUnit
from appliance.bridges.ports import BridgeFactory, PlatformConfig
from appliance.bridges.secrets import ProxyUrl, Secret


class AppCredentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    app_id: Secret
    app_secret: Secret


class EnterpriseImConfig(PlatformConfig):
    auth: AppCredentials
    proxy: ProxyUrl | None = None


BRIDGE = BridgeFactory(
    kind="enterprise_im",
    title="Feishu / Lark",
    config=EnterpriseImConfig,
    capabilities=Capabilities(text_limit=150_000, unit=LengthUnit.BYTES),
    build=None,
    unavailable=gettext_noop("configured; its bridge comes in a later version"),
)
