"""A robot of a WeCom group against the stand-in; what every bridge promises is in the contract's suite."""

from collections.abc import AsyncIterator

import pytest

from appliance.bridges.messages import Attachment, Button
from appliance.bridges.ports import ProbeState
from appliance.bridges.wecom_robot.bridge import WecomRobot
from tests.chat_desk import chat_message, context, idle_pool
from tests.standins.wecom import ROBOT_KEY, WecomStandin


@pytest.fixture
async def robot() -> AsyncIterator[tuple[WecomRobot, WecomStandin]]:
    with WecomStandin() as standin:
        config = {"auth": "ROBOT_KEY", "api_root": standin.root}
        secrets = {"ROBOT_KEY": f"{ROBOT_KEY}\n"}
        bridge = WecomRobot(
            context("wecom_robot", pool=idle_pool(), config=config, secrets=secrets), part_pause=0
        )
        yield bridge, standin
        await bridge.stop()


async def test_nobody_is_mentioned_by_a_text(robot: tuple[WecomRobot, WecomStandin]) -> None:
    bridge, standin = robot
    await bridge.send_message(chat_message("<@all> <@ann> [OK]", conversation="group", title="<@all>"))
    assert standin.texts == ["<@all>\n<@all> <@ann> [OK]"]
    [call] = standin.asked("webhook/send")
    assert call.json.keys() == {"msgtype", "text"}
    assert call.json["text"].keys() == {"content"}, "nor by a list beside it"


async def test_a_large_picture_goes_as_a_file(robot: tuple[WecomRobot, WecomStandin]) -> None:
    bridge, standin = robot
    small, large = (b"\x89PNG" + b"p" * size for size in (1_999_000, 2_100_000))
    files = (Attachment("chart.png", "image/png", small), Attachment("大.png", "image/png", large))
    receipt = await bridge.send_message(chat_message("", conversation="group", attachments=files))
    assert [one["kind"] for one in standin.sent] == ["image", "file"]
    assert standin.files == [("chart.png", small), ("大.png", large)]
    assert receipt.message_ids == ("1", "2")


async def test_asking_whether_it_is_there_writes_nothing(robot: tuple[WecomRobot, WecomStandin]) -> None:
    bridge, standin = robot
    assert (await bridge.probe()).state is ProbeState.OK
    assert standin.sent == []


async def test_buttons_are_left_out(robot: tuple[WecomRobot, WecomStandin]) -> None:
    bridge, standin = robot
    await bridge.send_message(chat_message("open?", conversation="group", buttons=(Button("Yes", "w0rd"),)))
    assert standin.texts == ["open?"]
    assert await bridge.handle_event({"FromUserName": "7", "MsgType": "text", "Content": "status"}) == []
