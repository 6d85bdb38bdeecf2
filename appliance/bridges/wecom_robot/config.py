"""The keys of a robot of a WeCom group in a platform configuration."""

from typing import Annotated

from pydantic import AfterValidator, Field

from appliance.bridges.addresses import service_address
from appliance.bridges.ports import RemoteConfig
from appliance.bridges.secrets import Secret


class WecomRobotConfig(RemoteConfig):
    """``auth`` is the robot's key: what stands behind ``key=`` in its address."""

    auth: Secret = Field(title="Robot's key")
    """What stands behind `key=` in the robot's address."""
    api_root: Annotated[str, AfterValidator(service_address)] | None = Field(None, title="Another server")
    """Another server of that API, for a private deployment."""
