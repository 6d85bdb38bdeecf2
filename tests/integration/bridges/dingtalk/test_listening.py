"""What people say to an app on its long connection: kept first, then acknowledged; and who it was."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from appliance.bridges.messages import RawEvent
from appliance.bridges.ports import Bridge, ProbeState
from appliance.outbox.errors import PlatformAway
from tests.chat_desk import MemoryInbox
from tests.standins.dingtalk import DingTalkStandin
from tests.standins.dingtalk_shapes import GROUP, TOPICS, bot_message, card_callback
from tests.standins.socks import SocksProxy
from tests.wait import wait_for_async

Make = Callable[..., Any]


async def listening(dingtalk: DingTalkStandin, bridge: Bridge) -> None:
    await bridge.start()
    await wait_for_async(lambda: dingtalk.open_sockets)


async def test_what_people_say_and_press_is_kept_acknowledged_and_understood(
    dingtalk: DingTalkStandin, make: Make
) -> None:
    inbox = MemoryInbox()
    app = make(inbox=inbox)
    await listening(dingtalk, app)
    said, pressed = dingtalk.say("status", group=GROUP), dingtalk.press("w1", group=GROUP)
    await wait_for_async(lambda: dingtalk.acked(said) and dingtalk.acked(pressed))
    assert [one["code"] for one in dingtalk.acks] == [200, 200]
    [heard], [button] = [await app.handle_event(event.payload) for event in inbox.events]
    assert (heard.text, heard.conversation, heard.private, heard.pressed) == ("status", GROUP, False, False)
    assert (button.text, button.conversation, button.user_id, button.pressed) == ("w1", GROUP, "7", True)
    assert "sessionWebhook" not in json.dumps([event.payload for event in inbox.events]).replace(
        "sessionWebhookExpiredTime", ""
    )


class Slow(MemoryInbox):
    """A database that is away for the first attempts."""

    away = 2

    async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
        if self.away:
            self.away -= 1
            raise OSError("the database is away")
        return await super().receive(events, cursor)


async def test_what_is_not_committed_is_not_acknowledged(dingtalk: DingTalkStandin, make: Make) -> None:
    """DingTalk never repeats what somebody wrote, so the commit itself is repeated."""

    class Watching(Slow):
        async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
            assert dingtalk.acks == [], "acknowledged before it was kept"
            return await super().receive(events, cursor)

    inbox = Watching()
    await listening(dingtalk, make(inbox=inbox))
    number = dingtalk.say("stop")
    await wait_for_async(lambda: dingtalk.acked(number))
    assert len(inbox.events) == 1


async def test_an_event_that_could_not_be_kept_comes_again_and_counts_once(
    dingtalk: DingTalkStandin, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.bridges.dingtalk.receiving.TRIES", ())
    inbox = Slow()
    await listening(dingtalk, make(inbox=inbox))

    def another(before: list[ServerConnection]) -> bool:
        return bool(dingtalk.open_sockets) and dingtalk.open_sockets != before

    for attempt in range(1, 4):
        await wait_for_async(lambda: dingtalk.open_sockets)
        before = list(dingtalk.open_sockets)
        number = dingtalk.push("EVENT", "*", {"userId": ["8"]}, eventId="c7c7120f", eventType="user_add_org")
        if attempt < 3:
            await wait_for_async(partial(another, before))
            assert dingtalk.acks == []
    await wait_for_async(lambda: dingtalk.acked(number))
    again = dingtalk.push("EVENT", "*", {"userId": ["8"]}, eventId="c7c7120f")
    await wait_for_async(lambda: dingtalk.acked(again))
    assert json.loads(dingtalk.acks[-1]["data"])["status"] == "SUCCESS"
    assert [event.event_id for event in inbox.events] == ["c7c7120f"]


async def test_the_same_words_pushed_twice_are_one_event(dingtalk: DingTalkStandin, make: Make) -> None:
    inbox = MemoryInbox()
    await listening(dingtalk, make(inbox=inbox))
    numbers = [dingtalk.say("run"), dingtalk.say("run")]
    await wait_for_async(lambda: all(map(dingtalk.acked, numbers)))
    assert len(inbox.events) == 1


async def test_it_answers_pings_and_follows_a_disconnect(dingtalk: DingTalkStandin, make: Make) -> None:
    inbox = MemoryInbox()
    app = make(inbox=inbox)
    await listening(dingtalk, app)
    ping = dingtalk.push("SYSTEM", "ping", {"opaque": "123-dsfs"})
    await wait_for_async(lambda: dingtalk.acked(ping))
    assert json.loads(dingtalk.acks[-1]["data"]) == {"opaque": "123-dsfs"}
    [old] = dingtalk.open_sockets
    bye = dingtalk.push("SYSTEM", "disconnect", {"reason": "connection is expired"})
    await wait_for_async(lambda: dingtalk.open_sockets and dingtalk.open_sockets[-1] is not old)
    assert dingtalk.acked(bye) is None
    number = dingtalk.say("still there?")
    await wait_for_async(lambda: dingtalk.acked(number))
    assert len(dingtalk.asked("connections/open")) == 2, "a ticket is good for one connection"


async def test_a_killed_connection_is_deaf_until_it_is_back(dingtalk: DingTalkStandin, make: Make) -> None:
    app = make(inbox=(inbox := MemoryInbox()))
    await listening(dingtalk, app)
    await wait_for_async(lambda: not app._connection.trouble)
    assert (await app.probe()).state is ProbeState.OK
    assert dingtalk.asked("accessToken") == [], "a look costs none of the organisation's calls"
    dingtalk.fail("connections/open", 503, times=1)
    dingtalk.hang_up()
    await wait_for_async(lambda: app._connection.trouble)
    assert (await app.probe()).state is ProbeState.AWAY
    await wait_for_async(lambda: dingtalk.open_sockets and not app._connection.trouble)
    assert (await app.probe()).state is ProbeState.OK
    number = dingtalk.say("hello")
    await wait_for_async(lambda: dingtalk.acked(number))
    assert len(inbox.events) == 1


async def test_a_refused_app_says_so_and_does_not_hammer(dingtalk: DingTalkStandin, make: Make) -> None:
    dingtalk.secret = "another"
    app = make()
    await app.start()
    await wait_for_async(lambda: "authFailed" in app._connection.trouble)
    assert len(dingtalk.asked("connections/open")) == 1
    assert (await app.probe()).state is ProbeState.WAITING


async def test_the_long_connection_goes_through_the_proxy(dingtalk: DingTalkStandin, make: Make) -> None:
    with SocksProxy("me", "hush-hush") as proxy:
        app = make(proxy=proxy.url())
        await listening(dingtalk, app)
        number = dingtalk.say("by proxy")
        await wait_for_async(lambda: dingtalk.acked(number))
        ports = {port for _, port in proxy.asked}
        assert {int(root.rpartition(":")[2]) for root in (dingtalk.root, dingtalk.socket_root)} <= ports
        await app.stop()


async def test_an_address_in_the_clear_is_not_followed_from_https(make: Make) -> None:
    app = make(api_root="https://api.example.com")

    async def told(_: Any) -> dict[str, str]:
        return {"endpoint": "ws://api.example.com/connect", "ticket": "t"}

    app._api.open_connection = told
    with pytest.raises(PlatformAway):
        await app._line.address()


@pytest.mark.parametrize(
    "data",
    [
        "",
        "not json",
        "[]",
        '"text"',
        "[" * 100_000,
        '{"conversationId": 5}',
        '{"msgId": "m", "msgtype": "picture"}',
    ],
    ids=lambda data: data[:20],
)
async def test_odd_frames_break_nothing(dingtalk: DingTalkStandin, make: Make, data: str) -> None:
    inbox = MemoryInbox()
    app = make(inbox=inbox)
    await listening(dingtalk, app)
    for odd in ("{", "5", '{"type": "SYSTEM"}', b"\xff\xfe"):
        dingtalk.open_sockets[-1].send(odd)
    numbers = [dingtalk.push("CALLBACK", topic, data) for topic in (*TOPICS, "/unknown")]
    good = dingtalk.say("good")
    await wait_for_async(lambda: dingtalk.acked(good))
    assert all(map(dingtalk.acked, numbers)), "DingTalk need not send it again"
    heard = [message for event in inbox.events for message in await app.handle_event(event.payload)]
    assert [message.text for message in heard] == ["good"]
    assert len(dingtalk.asked("connections/open")) == 1


# --- who it was ---------------------------------------------------------------------------------------


async def read(app: Bridge, topic: int, data: dict[str, Any]) -> list[Any]:
    return list(await app.handle_event({"topic": TOPICS[topic], "data": data}))


async def test_a_colleague_of_another_organisation_is_not_ours(make: Make) -> None:
    """``manager1234`` is a common user id: it is only unique within its organisation."""
    app = make(corp_id="ding9f50b15bccd16741")
    [ours] = await read(app, 0, bot_message("stop", "manager1234", GROUP))
    [theirs] = await read(
        app, 0, bot_message("stop", "manager1234", GROUP, senderCorpId="dingother", senderId="$:LWCP_v1:$xyz")
    )
    [outside] = await read(app, 0, bot_message("stop", "", GROUP, senderId="$:LWCP_v1:$abc"))
    assert [ours.user_id, theirs.user_id, outside.user_id] == [
        "manager1234",
        "$:LWCP_v1:$xyz",
        "$:LWCP_v1:$abc",
    ]
    assert await read(app, 1, card_callback("w1", "manager1234", corpId="dingother")) == []
    assert await read(app, 1, card_callback("w1", "manager1234", userIdType=2)) == []
    [pressed] = await read(app, 1, card_callback("w1", "manager1234"))
    assert (pressed.conversation, pressed.private) == ("manager1234", True)


async def test_only_words_are_said(make: Make) -> None:
    app = make()
    rich = {"richText": [{"text": "run "}, {"pictureDownloadCode": "x"}, {"text": "backup"}]}
    [heard] = await read(app, 0, bot_message("", msgtype="richText", content=rich))
    assert heard.text == "run backup"
    for silent in (
        bot_message("", msgtype="picture", content={"downloadCode": "x"}),
        bot_message("", msgtype="audio", content={"recognition": "stop", "duration": 4000}),
        bot_message("stop", senderId="$:LWCP_v1:$robot"),
        bot_message(" \n "),
    ):
        assert await read(app, 0, silent) == []
    for content in ("", "{}", "[]", '{"cardPrivateData": {"params": {"data": 5}}}', "[" * 100_000):
        assert await read(app, 1, card_callback("", content=content)) == []
