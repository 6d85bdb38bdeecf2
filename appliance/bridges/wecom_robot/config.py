"""The keys of a robot of a WeCom group in a platform configuration."""

from typing import Annotated

from pydantic import AfterValidator

from appliance.bridges.addresses import service_address
from appliance.bridges.ports import PlatformConfig
from appliance.bridges.secrets import Proxy, Secret


class WecomRobotConfig(PlatformConfig):
    """``auth`` is the robot's key: what stands behind ``key=`` in its address."""

    auth: Secret
    proxy: Proxy | None = None
    api_root: Annotated[str, AfterValidator(service_address)] | None = None
    """Another server of that API, for a private deployment."""
