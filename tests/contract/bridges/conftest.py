"""The members of the family: those of the box, and each platform against its stand-in."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from tests.chat_desk import Pool, open_pool

from .family import Member, Remote
from .members import apprise
from .members.dingtalk import DingTalk, DingTalkGroupRobot
from .members.enterprise_im import EnterpriseIm
from .members.gateway import Gateway
from .members.slack import Slack
from .members.tables import OfTable
from .members.telegram import Telegram
from .members.webhook import Webhook
from .members.wecom import Wecom
from .members.wecom_robot import WecomRobot

MEMBERS = (DingTalk, EnterpriseIm, Slack, Telegram, Webhook, Wecom, WecomRobot)
REMOTE: dict[str, type[Any]] = {made.kind: made for made in MEMBERS}
REMOTE["dingtalk, a robot"] = DingTalkGroupRobot
REMOTE |= {made.label: made for made in apprise.SERVICES}
OF_TABLE: dict[str, Callable[[Pool], Any]] = {
    "loopback": partial(OfTable, "loopback"),
    "webchat": partial(OfTable, "webchat"),
    "gateway": Gateway,
}


@pytest.fixture(params=[*OF_TABLE, *REMOTE])
async def member(request: pytest.FixtureRequest, transactional_db: None) -> AsyncIterator[Member]:
    if request.param in REMOTE:
        made = REMOTE[request.param]()
        with ExitStack() as stack:
            stack.enter_context(made.standin)
            yield made
            await made.bridge.stop()
        return
    async with open_pool() as pool:
        of_table = OF_TABLE[request.param](pool)
        yield of_table
        await of_table.bridge.stop()


@pytest.fixture(params=REMOTE)
async def remote(request: pytest.FixtureRequest) -> AsyncIterator[Remote]:
    made = REMOTE[request.param]()
    with made.standin:
        yield made
        await made.bridge.stop()
