"""DingTalk's stand-in, and bridges to it: an app, or a group's robot."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from appliance.bridges.dingtalk.app import DingTalkApp
from appliance.bridges.dingtalk.robot import DingTalkRobot
from appliance.bridges.ports import Bridge
from tests.chat_desk import MemoryInbox, context, idle_pool
from tests.standins.dingtalk import DingTalkStandin
from tests.standins.dingtalk_shapes import CLIENT_ID, CLIENT_SECRET, ROBOT_SECRET, ROBOT_TOKEN

Make = Callable[..., Any]
SECRETS = {"DING": CLIENT_SECRET, "TOKEN": ROBOT_TOKEN, "SIGN": ROBOT_SECRET}


@pytest.fixture
def dingtalk() -> Iterator[DingTalkStandin]:
    with DingTalkStandin() as standin:
        yield standin


@pytest.fixture
async def make(dingtalk: DingTalkStandin) -> AsyncIterator[Make]:
    """Builds an app, or a robot where ``spacing`` is given."""
    made: list[Bridge] = []

    def build(
        *,
        inbox: MemoryInbox | None = None,
        spacing: float | None = None,
        secrets: dict[str, str] | None = None,
        **config: Any,
    ) -> Bridge:
        robot = spacing is not None
        keys = (
            {"access_token": "TOKEN", "secret": "SIGN"}
            if robot
            else {"client_id": CLIENT_ID, "client_secret": "DING"}
        )
        known = {
            **SECRETS,
            **(secrets or {}),
            **({config["proxy"]: config["proxy"]} if "proxy" in config else {}),
        }
        given = context(
            "dingtalk",
            pool=idle_pool(),
            config={**keys, "api_root": dingtalk.root, **config},
            secrets=known,
            inbox=inbox,
        )
        bridge: Bridge = (
            DingTalkRobot(given, spacing=spacing)
            if spacing is not None
            else DingTalkApp(given, part_pause=0, first_pause=0.05)
        )
        made.append(bridge)
        return bridge

    yield build
    for bridge in made:
        await bridge.stop()
