"""DingTalk: an app that talks and listens, or a group's robot that only talks. The configuration says which."""

from collections.abc import Mapping

from appliance.bridges.dingtalk import api, robot
from appliance.bridges.dingtalk.app import CAPABILITIES, DingTalkApp
from appliance.bridges.dingtalk.config import DingTalkConfig
from appliance.bridges.dingtalk.guide import GUIDE
from appliance.bridges.dingtalk.robot import DingTalkRobot
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory


def _build(context: BridgeContext) -> Bridge:
    config: DingTalkConfig = context.config
    return DingTalkApp(context) if config.client_id else DingTalkRobot(context)


def _address(config: DingTalkConfig, settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    if config.proxy:
        return secrets[config.proxy.root]
    return config.api_root or (api.ROOT if config.client_id else robot.ROOT)


BRIDGE = BridgeFactory(
    kind="dingtalk",
    title="DingTalk",
    config=DingTalkConfig,
    capabilities=CAPABILITIES,
    build=_build,
    guide=GUIDE,
    address=_address,
)
