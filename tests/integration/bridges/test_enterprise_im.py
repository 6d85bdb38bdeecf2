"""Feishu / Lark against its stand-in: the long connection, the platform's calls, tokens, cards, files."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.bridges import services
from appliance.bridges.enterprise_im.bridge import SWITCHED_OFF, FeishuBridge
from appliance.bridges.enterprise_im.callbacks import from_webhook
from appliance.bridges.messages import Attachment, Button, RawEvent
from appliance.bridges.models import ChatIdentity, Inbound
from appliance.bridges.ports import ProbeState, WebhookRefused, WebhookRequest
from appliance.bridges.webhooks import receive_webhook
from appliance.lib.clock import ManualClock, SystemClock
from appliance.outbox.errors import DeliveryRefused, NotReady, PlatformAway
from tests.chat_desk import WEBHOOK_SECRET, MemoryInbox, chat_message, context, idle_pool
from tests.standins.enterprise_im import BOT, SECRET, TICKET, FeishuStandin
from tests.standins.enterprise_im_shapes import (
    APP_ID,
    CHAT,
    ENCRYPT_KEY,
    TENANT,
    VERIFICATION,
    call_of,
    encrypted,
    event_of,
    message_event,
    press_event,
)
from tests.standins.socks import SocksProxy
from tests.wait import wait_for_async

from .conftest import House, in_thread

NOW = SystemClock().now
Make = Callable[..., FeishuBridge]
SECRETS = {
    "APP_ID": APP_ID,
    "APP_SECRET": SECRET,
    "ENCRYPT_KEY": ENCRYPT_KEY,
    "VERIFICATION": VERIFICATION,
}


@pytest.fixture
def feishu() -> Iterator[FeishuStandin]:
    with FeishuStandin() as standin:
        yield standin


@pytest.fixture
async def make(feishu: FeishuStandin) -> AsyncIterator[Make]:
    made: list[FeishuBridge] = []

    def build(*, inbox: MemoryInbox | None = None, clock: Any = None, **config: Any) -> FeishuBridge:
        proxy = config.get("proxy")
        known = context(
            "enterprise_im",
            pool=idle_pool(),
            config={
                "auth": {"app_id": "APP_ID", "app_secret": "APP_SECRET"},
                "api_root": feishu.root,
                **config,
            },
            secrets={**SECRETS, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
        )
        if clock:
            known = type(known)(
                **{**{name: getattr(known, name) for name in known.__slots__}, "clock": clock}
            )
        bridge = FeishuBridge(known, part_pause=0)
        bridge._connection._first_pause = 0.05
        made.append(bridge)
        return bridge

    yield build
    for bridge in made:
        await bridge.stop()


async def received(inbox: MemoryInbox, count: int) -> Sequence[RawEvent]:
    await wait_for_async(lambda: len(inbox.events) >= count)
    return inbox.events


# --- the long connection --------------------------------------------------------------------------------


async def test_an_event_is_committed_before_it_is_acknowledged(feishu: FeishuStandin, make: Make) -> None:
    class Failing(MemoryInbox):
        failures = 2

        async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
            assert feishu.acknowledged == [], "acknowledged before it was kept"
            if self.failures:
                self.failures -= 1
                raise OSError("the disk is full")
            return await super().receive(events, cursor)

    inbox = Failing()
    bridge = make(inbox=inbox)
    name = feishu.say("status", message_id="om_1")
    await bridge.start()
    [event] = await received(inbox, 1)
    await wait_for_async(lambda: feishu.acknowledged == [name])
    assert (event.event_id, inbox.failures) == ("om_1", 0)
    assert "token" not in event.payload["header"]  # type: ignore[operator]
    [message] = await bridge.handle_event(event.payload)
    assert (message.text, message.user_id, message.conversation, message.private) == (
        "status",
        "7",
        CHAT,
        True,
    )
    assert json.loads(feishu.answers[0].payload) == {"code": 200}


async def test_a_connection_that_was_killed_comes_back_and_loses_nothing(
    feishu: FeishuStandin, make: Make
) -> None:
    inbox = MemoryInbox()
    bridge = make(inbox=inbox)
    await bridge.start()
    feishu.say("one", message_id="om_1")
    await received(inbox, 1)
    feishu.hang_up()
    feishu.say("two", message_id="om_2")
    await received(inbox, 2)
    await wait_for_async(lambda: not feishu.waiting)
    feishu.push(message_event("two", message_id="om_2"))  # again, under another event_id
    await wait_for_async(lambda: not feishu.waiting)
    assert [event.event_id for event in inbox.events] == ["om_1", "om_2"]


async def test_an_event_in_parts_is_joined(feishu: FeishuStandin, make: Make) -> None:
    inbox = MemoryInbox()
    await make(inbox=inbox).start()
    feishu.say("错误 " * 5000, parts=5)
    [event] = await received(inbox, 1)
    assert json.loads(event.payload["event"]["message"]["content"])["text"] == "错误 " * 5000  # type: ignore[index,call-overload,arg-type]
    await wait_for_async(lambda: not feishu.waiting)


async def test_it_pings_as_often_as_the_platform_wishes(feishu: FeishuStandin, make: Make) -> None:
    feishu.ping_interval = 5
    bridge = make()
    await bridge.start()
    await wait_for_async(lambda: feishu.pings)
    line = bridge._connection._line
    assert line._ping_every == 5  # type: ignore[attr-defined]
    feishu.ping_interval = 1
    line._configure({"PingInterval": 1})  # type: ignore[attr-defined]
    assert line._ping_every == 5, "not without bounds"  # type: ignore[attr-defined]


async def test_nonsense_on_the_connection_breaks_nothing(feishu: FeishuStandin, make: Make) -> None:
    inbox = MemoryInbox()
    await make(inbox=inbox).start()
    feishu.raw = [b"", b"\xff" * 40, b"\x08\x00" * 10]
    feishu.push({"no": "event"})
    feishu.push({"schema": "2.0", "header": [], "event": {}})
    feishu.say("from another app", app_id="cli_other")
    feishu.say("status")
    [event] = await received(inbox, 1)
    await wait_for_async(lambda: len(feishu.acknowledged) == 4)
    assert "status" in str(event.payload)


async def test_a_refused_secret_and_a_full_house_are_said(feishu: FeishuStandin, make: Make) -> None:
    feishu.fail("/callback/ws/endpoint", 200, {"code": 1000040350, "msg": "too many connections"})
    bridge = make()
    await bridge.start()
    await wait_for_async(lambda: "patience" in bridge._connection.trouble)
    assert (await bridge.probe()).state is ProbeState.AWAY
    feishu.secret = "another"
    other = make()
    await other.start()
    await wait_for_async(lambda: "secret" in other._connection.trouble)
    assert (await other.probe()).state is ProbeState.WAITING


async def test_an_address_without_encryption_is_not_followed(feishu: FeishuStandin, make: Make) -> None:
    bridge = make()
    line = bridge._connection._line
    bridge._api.socket_schemes = ("wss",)  # as with every root that is https
    with pytest.raises(PlatformAway, match="no address"):
        await line.address()
    assert make(api_root="https://open.example.com")._api.socket_schemes == ("wss",)


async def test_both_ways_go_through_the_proxy(
    feishu: FeishuStandin, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    inbox = MemoryInbox()
    with SocksProxy("me", "hush-hush") as proxy:
        bridge = make(inbox=inbox, proxy=proxy.url())
        await bridge.start()
        feishu.say("status")
        await received(inbox, 1)
        ports = {int(one.rpartition(":")[2]) for one in (feishu.root, feishu.socket_root)}
        assert {port for _, port in proxy.asked} == ports
        await bridge.stop()
    assert TICKET not in caplog.text
    assert "hush-hush" not in caplog.text


# --- the whole way ---------------------------------------------------------------------------------------


async def test_a_linked_person_is_answered_where_they_wrote(
    house: House, ann: User, feishu: FeishuStandin
) -> None:
    """As the brief's entry has it: two variables, no webhook."""
    house.variables.update(SECRETS)
    auth = {"app_id": "APP_ID", "app_secret": "APP_SECRET"}
    values = {"name": "enterprise_im", "auth": auth, "api_root": feishu.root, "chat_id": "ou_anna"}
    known = {"platform": "enterprise_im", "user_id": "7", "first_seen": NOW(), "last_seen": NOW()}

    def set_up() -> None:
        services.save_platform(values, CONSOLE, NOW())
        ChatIdentity.objects.create(person=ann, **known)

    await in_thread(set_up)
    async with house.living():
        item = await house.put("Pump 3 stopped", "enterprise_im")
        await house.until(item, "delivered")
        feishu.say("status")
        await wait_for_async(lambda: len(feishu.sent) == 2)
    assert house.handler.verbs == ["status"]
    assert [(one["to"], one["shown"]) for one in feishu.sent] == [
        ("ou_anna", "Pump 3 stopped"),
        (CHAT, "status"),
    ]


def test_a_call_is_durable_before_its_answer(clean: None) -> None:
    services.save_platform(
        {
            "name": "enterprise_im",
            "auth": {"app_id": "APP_ID", "app_secret": "APP_SECRET"},
            "webhook": "https://box.example.com/api/feishu",
            "encrypt_key": "ENCRYPT_KEY",
        },
        CONSOLE,
        NOW(),
    )

    def call(headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        reply = receive_webhook("POST", "/api/feishu", headers, body, NOW(), lookup=SECRETS.get)
        return reply.status, reply.body

    assert call({}, encrypted(CHECK)) == (200, b'{"challenge": "ajls384kdjxxxx"}')
    assert call({}, encrypted(message_event("stop")))[0] == 403
    assert not Inbound.objects.exists()
    for _ in range(2):
        headers, body = call_of(message_event("status", message_id="om_1"))
        assert call(headers, body) == (200, b"{}")
    assert [row.event_id for row in Inbound.objects.all()] == ["om_1"]


# --- what people say and press ---------------------------------------------------------------------------


async def test_a_press_is_understood_and_acknowledged(feishu: FeishuStandin, make: Make) -> None:
    inbox = MemoryInbox()
    bridge = make(inbox=inbox)
    await bridge.start()
    feishu.press("w0rd-1")
    [event] = await received(inbox, 1)
    [message] = await bridge.handle_event(event.payload)
    assert (message.text, message.pressed, message.user_id, message.private) == ("w0rd-1", True, "7", False)
    await wait_for_async(lambda: not feishu.waiting)


@pytest.mark.parametrize(
    ("text", "mentions", "heard"),
    [
        ("@_user_1 run backup", [(BOT, "Mill")], "run backup"),
        ("@_user_1 stop", [("ou_tom", "Tom")], "@Tom stop"),
        ("@_user_1 @_user_2 stop", [("ou_tom", "Tom"), (BOT, "Mill")], "@Tom  stop"),
        ("@_user_9 stop", [(BOT, "Mill")], "@_user_9 stop"),
    ],
)
async def test_only_the_bots_own_name_is_left_out(
    make: Make, text: str, mentions: list[tuple[str, str]], heard: str
) -> None:
    event = message_event(text, chat="oc_group", chat_type="group", mentions=mentions)
    [message] = await make().handle_event(event)
    assert (message.text, message.private, message.conversation) == (heard, False, "oc_group")


async def test_a_mention_is_understood_while_the_platform_is_away(make: Make) -> None:
    event = message_event("@_user_1 stop", chat_type="group", mentions=[(BOT, "Mill")])
    [message] = await make(api_root="http://127.0.0.1:1").handle_event(event)
    assert message.text == "stop"


@pytest.mark.parametrize(
    ("kind", "content", "heard"),
    [
        (
            "post",
            {"title": "Log", "content": [[{"tag": "text", "text": "a"}, {"tag": "a", "text": "b"}], [], 5]},
            "Log\nab",
        ),
        ("image", {"image_key": "img_1"}, None),
        ("text", [], None),
        ("post", {"content": {}}, None),
    ],
)
async def test_rich_texts_are_read_and_pictures_passed_over(
    make: Make, kind: str, content: object, heard: str | None
) -> None:
    event = message_event("", kind=kind, content=json.dumps(content))
    assert [one.text for one in await make().handle_event(event)] == ([heard] if heard else [])


@pytest.mark.parametrize(
    "event",
    [
        message_event("hi", sender="app"),
        message_event("hi", user=""),
        message_event("hi", content="{"),
        event_of("im.message.message_read_v1", {"reader": {}}),
        event_of("card.action.trigger", {"operator": {"open_id": "7"}, "action": {"value": "w0rd"}}),
    ],
)
async def test_what_nobody_said_is_nothing(make: Make, event: dict[str, Any]) -> None:
    assert await make().handle_event(event) == []


# --- out --------------------------------------------------------------------------------------------------


async def test_a_card_is_edited_and_a_text_too(feishu: FeishuStandin, make: Make) -> None:
    bridge = make()
    text = await bridge.send_message(chat_message("1 of 3", conversation=CHAT))
    card = await bridge.send_message(
        chat_message("?", conversation="ou_anna", title="Pump", buttons=(Button("Go", "w"),))
    )
    await bridge.send_message(chat_message("2 of 3", conversation=CHAT, replaces=text.message_ids))
    await bridge.send_message(
        chat_message("decided", conversation="ou_anna", title="Pump", replaces=card.message_ids)
    )
    assert feishu.texts == ["2 of 3", "Pump\ndecided"]
    assert [one["buttons"] for one in feishu.sent] == [[], []]
    with pytest.raises(DeliveryRefused, match="230054"):
        await bridge.send_message(chat_message("[x](y)", conversation=CHAT, replaces=text.message_ids))
    with pytest.raises(DeliveryRefused, match="too long"):
        await bridge.send_message(chat_message("x" * 50_000, conversation=CHAT, replaces=text.message_ids))


async def test_an_unknown_chat_is_refused_for_good(make: Make) -> None:
    with pytest.raises(DeliveryRefused, match="230002"):
        await make().send_message(chat_message("hi", conversation="oc_nobody"))


async def test_what_is_no_picture_to_the_platform_goes_as_a_file(feishu: FeishuStandin, make: Make) -> None:
    feishu.wrong_pictures = True
    files = (
        Attachment("a.png", "image/png", b"\x89PNG"),
        Attachment("报告.docx", "application/x", b"d"),
        Attachment("large.png", "image/png", b"\x89PNG" + bytes(10_000_000)),
    )
    receipt = await make().send_message(chat_message("see", conversation=CHAT, attachments=files))
    assert [name for name, _ in feishu.files] == ["a.png", "报告.docx", "large.png"]
    assert feishu.file_types == ["stream", "doc", "stream"]
    assert "a.png was sent as a file" in receipt.note
    assert len(feishu.asked("/im/v1/images")) == 1, "one that is too large is not tried"


async def test_an_upload_that_failed_was_not_sent(feishu: FeishuStandin, make: Make) -> None:
    feishu.fail("/im/v1/files", 502)
    with pytest.raises(PlatformAway) as away:
        await make().send_message(
            chat_message("", conversation=CHAT, attachments=(Attachment("a.txt", "text/plain", b"x"),))
        )
    assert not away.value.maybe_sent


async def test_a_repeat_after_a_lost_answer_arrives_once(feishu: FeishuStandin, make: Make) -> None:
    bridge = make()
    message = chat_message("once", conversation=CHAT)
    real = feishu.answer

    def lost(asked: Any) -> Any:
        told = real(asked)
        feishu.answer = real  # type: ignore[method-assign]
        return type(told)(0)

    await bridge.probe()
    feishu.answer = lost  # type: ignore[method-assign]
    with pytest.raises(PlatformAway) as away:
        await bridge.send_message(message)
    assert away.value.maybe_sent
    await bridge.send_message(message)
    assert feishu.texts == ["once"]


# --- the token ---------------------------------------------------------------------------------------------


async def test_one_token_is_fetched_for_all_and_anew_before_its_end(
    feishu: FeishuStandin, make: Make
) -> None:
    clock = ManualClock(datetime(2026, 11, 28, tzinfo=UTC))
    bridge = make(clock=clock)

    async def send() -> None:
        await bridge.send_message(chat_message("hi", conversation=CHAT))

    await asyncio.gather(*(send() for _ in range(5)))
    assert len(feishu.asked("tenant_access_token")) == 1
    clock.advance(timedelta(seconds=6590))
    await send()
    assert len(feishu.asked("tenant_access_token")) == 1
    clock.advance(timedelta(seconds=20))
    await send()
    assert len(feishu.asked("tenant_access_token")) == 2


async def test_without_a_token_nothing_was_sent(feishu: FeishuStandin, make: Make) -> None:
    feishu.fail("tenant_access_token", 502)
    bridge = make()
    with pytest.raises(PlatformAway) as away:
        await bridge.send_message(chat_message("hi", conversation=CHAT))
    assert not away.value.maybe_sent
    await bridge.send_message(chat_message("hi", conversation=CHAT))
    assert feishu.texts == ["hi"]


async def test_a_token_that_was_revoked_is_fetched_anew_once(feishu: FeishuStandin, make: Make) -> None:
    bridge = make()
    await bridge.send_message(chat_message("one", conversation=CHAT))
    feishu.tokens.clear()
    await bridge.send_message(chat_message("two", conversation=CHAT))
    assert feishu.texts == ["one", "two"]
    feishu.fail("/im/v1/messages", 400, {"code": 99991663, "msg": "Invalid access token"}, times=2)
    before = len(feishu.asked("/im/v1/messages"))
    with pytest.raises(NotReady):
        await bridge.send_message(chat_message("three", conversation=CHAT))
    assert len(feishu.asked("/im/v1/messages")) == before + 2


async def test_an_app_that_is_switched_off_waits_for_a_person(feishu: FeishuStandin, make: Make) -> None:
    feishu.activate_status = 1
    probe = await make().probe()
    assert (probe.state, probe.message, probe.identity) == (ProbeState.WAITING, SWITCHED_OFF, "Mill")


# --- webhook -------------------------------------------------------------------------------------------------


def asked(
    headers: dict[str, str], body: bytes, *, now: datetime | None = None, method: str = "POST", **config: Any
) -> WebhookRequest:
    made = context(
        "enterprise_im",
        pool=idle_pool(),
        config={
            "auth": {"app_id": "APP_ID", "app_secret": "APP_SECRET"},
            "webhook": "https://box.example/in",
            "encrypt_key": "ENCRYPT_KEY",
            **config,
        },
        secrets=SECRETS,
    )
    return WebhookRequest(
        method=method,
        headers={name.lower(): value for name, value in headers.items()},
        query={},
        body=body,
        now=now or datetime.now(UTC),
        secret=WEBHOOK_SECRET,
        config=made.config,
        secrets=made.secrets,
    )


def status_of(request: WebhookRequest) -> int:
    with pytest.raises(WebhookRefused) as refused:
        from_webhook(request)
    return refused.value.status


CHECK = {"challenge": "ajls384kdjxxxx", "token": VERIFICATION, "type": "url_verification"}


def test_the_check_of_the_address_is_answered() -> None:
    sealed = from_webhook(asked({}, encrypted(CHECK)))
    assert json.loads(sealed.body) == {"challenge": "ajls384kdjxxxx"}
    assert (list(sealed.events), sealed.content_type) == ([], "application/json")
    plain = asked({}, json.dumps(CHECK).encode(), verification_token="VERIFICATION")
    assert json.loads(from_webhook(plain).body) == {"challenge": "ajls384kdjxxxx"}


def test_the_check_of_the_address_has_to_be_proved() -> None:
    assert status_of(asked({}, json.dumps(CHECK).encode())) == 403
    assert status_of(asked({}, encrypted(CHECK, "another-key"))) == 403
    wrong = {**CHECK, "token": "guess"}
    assert status_of(asked({}, encrypted(wrong), verification_token="VERIFICATION")) == 403
    assert status_of(asked({}, encrypted({**CHECK, "challenge": 5}))) == 400


@pytest.mark.parametrize("event", [message_event("status"), press_event("w0rd")])
def test_an_event_by_webhook_is_decrypted(event: dict[str, Any]) -> None:
    headers, body = call_of(event)
    answer = from_webhook(asked(headers, body, tenant_key=TENANT, verification_token="VERIFICATION"))
    assert (answer.body, answer.content_type) == (b"{}", "application/json")
    assert answer.events[0].payload["event"] == event["event"]
    assert VERIFICATION not in str(answer.events)


def test_who_is_not_the_platform_gets_nowhere() -> None:
    headers, body = call_of(message_event("stop"))
    assert status_of(asked({}, body)) == 403
    assert status_of(asked({**headers, "X-Lark-Signature": ""}, body)) == 403
    assert status_of(asked({**headers, "X-Lark-Request-Nonce": "other"}, body)) == 403
    assert status_of(asked(headers, body, now=datetime.now(UTC) + timedelta(minutes=6))) == 403
    assert status_of(asked(headers, body, method="GET")) == 405
    assert status_of(asked(*call_of(message_event("stop"), key="another"))) == 403
    plain = json.dumps(message_event("stop")).encode()
    assert status_of(asked(*call_of(None, body=plain))) == 400, "signed, but not encrypted"
    # What cannot be decrypted, without a signature: no word of where it failed.
    for sealed in (b"A" * 64, b"%%", b""):
        assert status_of(asked({}, b'{"encrypt": "%s"}' % sealed)) == 403


@pytest.mark.parametrize(
    ("event", "config"),
    [
        (message_event("stop", app_id="cli_other"), {}),
        (message_event("stop", tenant_key="other"), {"tenant_key": TENANT}),
        (message_event("stop"), {"verification_token": "APP_SECRET"}),
    ],
)
def test_another_app_company_or_token_is_refused(event: dict[str, Any], config: dict[str, Any]) -> None:
    assert status_of(asked(*call_of(event), **config)) == 403


def test_an_event_of_an_older_version_is_heard_and_forgotten() -> None:
    old = {"ts": "1502199207.7171419", "uuid": "bc44", "token": "t", "type": "event_callback", "event": {}}
    answer = from_webhook(asked(*call_of(old)))
    assert (list(answer.events), answer.body) == ([], b"{}")


async def test_with_a_webhook_there_is_no_long_connection(feishu: FeishuStandin, make: Make) -> None:
    bridge = make(webhook="https://box.example/in", encrypt_key="ENCRYPT_KEY")
    await bridge.start()
    assert (await bridge.probe()).state is ProbeState.OK
    assert feishu.asked("/callback/ws/endpoint") == []
