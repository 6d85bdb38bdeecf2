"""apprise: what it may do, what it sends, and that its addresses stay inside."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.accounts.principal import CONSOLE
from appliance.bridges import services
from appliance.bridges.apprise import bridge as module
from appliance.bridges.apprise.bridge import BRIDGE, AppriseBridge
from appliance.bridges.apprise.catalogue import SERVICES, reached_at
from appliance.bridges.errors import PlatformsInvalid
from appliance.bridges.messages import Attachment
from appliance.bridges.platforms import parse_platforms
from appliance.bridges.ports import ProbeState
from appliance.lib.clock import SystemClock
from appliance.lib.masking import KNOWN
from appliance.outbox.errors import DeliveryDeferred, DeliveryRefused, NotReady, PlatformAway
from appliance.processes.certificate import make_certificate
from tests.chat_desk import chat_message, context, idle_pool
from tests.standins.discord import TOKEN, WEBHOOK_ID, DiscordStandin
from tests.standins.mail import PASSWORD, USER, MailStandin
from tests.standins.matrix import ROOM, MatrixStandin
from tests.standins.matrix import TOKEN as MATRIX_TOKEN
from tests.standins.socks import SocksProxy
from tests.wait import wait_for_async

from .conftest import House, in_thread

Make = Callable[..., AppriseBridge]
DISCORD = f"discord://{WEBHOOK_ID}/{TOKEN}"


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[AppriseBridge] = []

    def build(url: str, **config: Any) -> AppriseBridge:
        proxy = config.get("proxy")
        secrets = {"WHERE": url, **({proxy: proxy} if proxy else {})}
        made.append(
            AppriseBridge(
                context("apprise", pool=idle_pool(), config={"apprise": "WHERE", **config}, secrets=secrets)
            )
        )
        return made[-1]

    yield build
    for bridge in made:
        await bridge.stop()


@pytest.fixture
def discord() -> Iterator[DiscordStandin]:
    with DiscordStandin() as standin:
        yield standin


@pytest.fixture
def matrix() -> Iterator[MatrixStandin]:
    with MatrixStandin() as standin:
        yield standin


@pytest.fixture
def mail() -> Iterator[MailStandin]:
    with MailStandin() as standin:
        yield standin


def mailto(mail: MailStandin, more: str = "to=ann@plant.example") -> str:
    people = f"mailto://{USER}:{PASSWORD}@plant.example:{mail.port}"
    return f"{people}/?smtp=127.0.0.1&from=box@plant.example&{more}"


def hello(text: str = "hi", **more: Any) -> Any:
    return chat_message(text, conversation=more.pop("conversation", "apprise"), **more)


# --- what is allowed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "syslog://",
        "dbus://",
        "json://127.0.0.1/x",
        "jsons://host/x",
        "xml://host",
        "form://host",
        "mqtt://host/topic",
        "apprise://host/token",
        "https://discord.com/api/webhooks/1/s3cr3t-word",
        "macosx://",
        "windows://",
        "not an address with s3cr3t-word",
        "discord://",
        "discord://1/s3cr3t-word?template=file:///etc/passwd",
        "mailtos://u:s3cr3t-word@host?pgppub=http://127.0.0.1/key",
        "mailtos://u:s3cr3t-word@host?verify=no",
        "matrixs://s3cr3t-word@host/!room?redirect=yes",
        "discord://1/s3cr3t-word?FORMAT=markdown",
        "ntfys://[s3cr3t-word/x",
    ],
)
def test_an_address_that_reaches_further_is_refused_with_its_place_and_without_its_secret(url: str) -> None:
    text = f'{{"platforms": [\n {{"name": "mail", "kind": "apprise",\n  "apprise": "{url}"}}]}}'
    with pytest.raises(PlatformsInvalid) as refused:
        parse_platforms(text, "p.json")
    assert "line 3" in str(refused.value)
    assert "address" in str(refused.value) or "scheme" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_a_kept_address_of_another_kind_waits_for_a_person(make: Make) -> None:
    with pytest.raises(NotReady, match="not one of the schemes"):
        make("file:///etc/passwd")


def test_every_service_of_the_list_is_there_in_this_version_and_speaks_through_the_door() -> None:
    checked = """
import importlib
from appliance.bridges.apprise import doors, library
from appliance.bridges.apprise.catalogue import SERVICES
for scheme, service in SERVICES.items():
    module = library._module_of(service)
    kind = getattr(module, service.plugin)
    given = [kind.protocol, kind.secure_protocol]
    known = {one for each in given if each for one in ([each] if isinstance(each, str) else each)}
    assert scheme in known, (scheme, known)
    real = importlib.import_module(kind.__module__)
    if scheme.startswith("mailto"):
        assert importlib.import_module("apprise.plugins.email.smtp").smtplib is doors.MailDoor
    else:
        assert real.requests is doors.HttpDoor, scheme
print("all", len(SERVICES))
"""
    done = subprocess.run([sys.executable, "-c", checked], capture_output=True, text=True, check=False)
    assert done.stdout == f"all {len(SERVICES)}\n", done.stderr


def test_who_has_no_such_platform_does_without_apprise() -> None:
    checked = """
import sys, django
django.setup()
from appliance.bridges.registry import bridges
assert "apprise" in bridges()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"apprise", "requests", "markdown"}))
"""
    done = subprocess.run([sys.executable, "-c", checked], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_what_the_network_monitor_looks_at() -> None:
    assert reached_at("discord://1/2") == "https://discord.com"
    assert reached_at("matrixs://token@matrix.plant.example:8448/!r") == "https://matrix.plant.example:8448"
    assert (
        reached_at("mailtos://u:p@plant.example?smtp=mail.plant.example") == "smtp://mail.plant.example:587"
    )
    assert reached_at("mailtos://u:p@gmail.com") == "", "only apprise knows the server of a provider"
    assert BRIDGE.address is not None
    assert not BRIDGE.capabilities.receives


async def test_from_a_file_to_a_receipt(house: House, discord: DiscordStandin) -> None:
    entry = {"name": "alarms", "kind": "apprise", "apprise": DISCORD, "api_root": discord.root}
    text = json.dumps({"platforms": [entry]})
    await in_thread(services.load_platforms, text, CONSOLE, SystemClock().now())
    [(config,)] = await house.rows("SELECT config::text FROM bridges_platform")
    assert TOKEN not in config
    async with house.living():
        item = await house.put("Pump 3 stopped", "alarms")
        await house.until(item, "delivered")
    assert discord.texts == ["Pump 3 stopped"]
    [(receipt,)] = await house.rows("SELECT receipt::text FROM outbox_item")
    assert TOKEN not in receipt


# --- Discord ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "@everyone @here <@123> <@&456> <#7> @EVERYONE",
        "http://evil.example/x and discord.gg/abc",
        ":party: <:party:123> <t:1700000000:R>",
        "# heading\n> quote\n- item\n1. one\n-# small",
        "\u202eright to left\u202c and zero\u200dwidth",
    ],
)
async def test_what_a_device_wrote_calls_nobody_and_is_no_link(
    discord: DiscordStandin, make: Make, text: str
) -> None:
    await make(DISCORD, api_root=discord.root).send_message(hello(text))
    raw = discord.sent[0]["content"]
    assert discord.texts == [text]
    for live in ("@everyone", "@here", "@EVERYONE", "<@", "://", ":party:", "<t:", "<#"):
        assert live not in raw.replace("\\:", "\0").replace("\\<", "\0") or live not in text


async def test_no_redirect_is_followed(discord: DiscordStandin, make: Make) -> None:
    with DiscordStandin() as elsewhere:
        discord.fail("/api/webhooks/", 307, headers={"Location": f"{elsewhere.root}/x"})
        with pytest.raises(PlatformAway, match="redirect") as away:
            await make(DISCORD, api_root=discord.root).send_message(hello())
        assert elsewhere.calls == []
    assert not away.value.maybe_sent
    assert "127.0.0.1" not in str(away.value)


async def test_one_refusal_is_one_request(discord: DiscordStandin, make: Make) -> None:
    """apprise would ask again by itself, and wait for it in its thread."""
    bridge = make(DISCORD, api_root=discord.root)
    for status, kind in (
        (429, DeliveryDeferred),
        (403, NotReady),
        (400, DeliveryRefused),
        (503, PlatformAway),
    ):
        discord.fail("/api/webhooks/", status, {"retry_after": 3})
        with pytest.raises(kind):
            await bridge.send_message(hello())
    assert len(discord.calls) == 4


async def test_a_service_that_hangs_is_given_up(
    discord: DiscordStandin, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_LIMIT", 0.5)
    bridge = make(DISCORD, api_root=discord.root)
    await bridge.send_message(hello("first"))
    discord.fail("/api/webhooks/", -1, pause=20.0)
    with pytest.raises(PlatformAway, match="takes longer") as away:
        await bridge.send_message(hello())
    assert away.value.maybe_sent
    monkeypatch.setattr(module, "SEND_LIMIT", 8.0)
    await bridge.send_message(hello("after it"))
    assert discord.texts[-1] == "after it", "its thread is free again"


async def test_other_recipients_than_those_of_the_address(discord: DiscordStandin, make: Make) -> None:
    with pytest.raises(DeliveryRefused, match="one recipient"):
        await make(DISCORD, api_root=discord.root).send_message(hello(conversation="#elsewhere"))
    assert discord.calls == []


async def test_the_probe_sends_nothing(discord: DiscordStandin, make: Make) -> None:
    probe = await make(DISCORD, api_root=discord.root).probe()
    assert (probe.state, probe.identity) == (ProbeState.OK, "Plant")
    assert discord.sent == []


async def test_what_stands_in_an_address_is_known_as_a_secret(discord: DiscordStandin, make: Make) -> None:
    await make(DISCORD, api_root=discord.root).send_message(hello())
    assert TOKEN not in KNOWN.text(f"posted to /api/webhooks/{WEBHOOK_ID}/{TOKEN}")


async def test_a_service_that_cannot_be_asked_says_so(make: Make) -> None:
    probe = await make("pover://user@token").probe()
    assert probe.state is ProbeState.OK
    assert "without a message" in probe.message


# --- Matrix -----------------------------------------------------------------------------------------


async def test_matrix_wants_a_token(matrix: MatrixStandin, make: Make) -> None:
    host = matrix.root.removeprefix("http://")
    with pytest.raises(NotReady, match="access token"):
        await make(f"matrix://box:password@{host}/{ROOM}").send_message(hello())
    assert matrix.calls == []


async def test_no_room_is_made_for_a_typing_error(matrix: MatrixStandin, make: Make) -> None:
    bridge = make(f"matrix://{MATRIX_TOKEN}@{matrix.root.removeprefix('http://')}/%23typo:plant.example")
    with pytest.raises(NotReady, match="404"):
        await bridge.send_message(hello())
    assert not matrix.asked("createRoom")
    await bridge.send_message(hello("there", conversation=ROOM))
    assert matrix.texts == ["there"]


# --- e-mail -----------------------------------------------------------------------------------------


async def test_a_mail_is_plain_text_with_a_subject(mail: MailStandin, make: Make) -> None:
    text = "泵 3 停了 <b>&amp; {{ x }}\n.\n..\n" + "long line " * 200
    await make(mailto(mail)).send_message(hello(text, title="Alarm\r\nBcc: eve@evil.example"))
    [(to, letter)] = mail.mails
    assert to == ["ann@plant.example"]
    assert letter["Subject"] == "Alarm Bcc: eve@evil.example"
    assert letter["Bcc"] is None
    assert letter.get_content_type() == "text/plain"
    assert letter.get_content().replace("\r\n", "\n").rstrip() == text.rstrip()


async def test_a_mail_to_somebody_else(mail: MailStandin, make: Make) -> None:
    bridge = make(mailto(mail))
    await bridge.send_message(hello(conversation="bob@plant.example"))
    assert [to for to, _ in mail.mails] == [["bob@plant.example"]]
    with pytest.raises(DeliveryRefused):
        await bridge.send_message(hello(conversation="nobody at all"))


@pytest.mark.parametrize(
    ("word", "answer", "kind"),
    [
        ("AUTH", "535 5.7.8 wrong", NotReady),
        ("AUTH", "454 4.7.0 later", DeliveryDeferred),
        ("MAIL", "553 5.7.1 not yours", NotReady),
        ("RCPT", "550 5.1.1 unknown ann@plant.example", NotReady),
        ("RCPT", "452 4.2.2 full", DeliveryDeferred),
        ("END", "554 5.7.1 spam", DeliveryRefused),
        ("END", "451 4.3.0 later", DeliveryDeferred),
        ("EHLO", "", PlatformAway),
        ("DATA", "", PlatformAway),
        ("END", "", PlatformAway),
    ],
)
async def test_what_a_mail_server_says(
    mail: MailStandin, make: Make, word: str, answer: str, kind: type[Exception]
) -> None:
    mail.plan[word] = [answer, answer] if word == "EHLO" else [answer]
    with pytest.raises(kind) as told:
        await make(mailto(mail)).send_message(hello())
    assert "ann@" not in str(told.value), "what a server says repeats names"
    if kind is PlatformAway:
        assert told.value.maybe_sent == (word != "EHLO")  # type: ignore[attr-defined]
    assert mail.mails == []


@pytest.mark.parametrize("mode", ["starttls", "ssl"])
async def test_a_letter_goes_over_tls_to_who_proves_to_be_the_server(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    certificate = tmp_path / "mail.crt", tmp_path / "mail.key"
    make_certificate(*certificate, ["127.0.0.1"])
    with MailStandin(certificate, from_the_start=mode == "ssl") as mail:
        bridge = make(mailto(mail, f"to=ann@plant.example&mode={mode}").replace("mailto:", "mailtos:"))
        with pytest.raises(NotReady, match="certificate"):
            await bridge.send_message(hello())
        assert (mail.log_ins, mail.mails) == (0, [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        await bridge.send_message(hello())
        assert mail.texts == ["hi"]


async def test_a_server_without_tls_gets_no_password(mail: MailStandin, make: Make) -> None:
    with pytest.raises(NotReady, match="no TLS"):
        await make(mailto(mail).replace("mailto:", "mailtos:")).send_message(hello())
    assert mail.log_ins == 0


async def test_one_refused_recipient_beside_others_is_a_note(mail: MailStandin, make: Make) -> None:
    mail.plan["RCPT"] = ["as usual", "550 5.1.1 unknown"]
    receipt = await make(mailto(mail, "to=ann@plant.example&cc=bob@plant.example")).send_message(hello())
    assert receipt.note == "1 of the recipients refused (status 550)"
    assert len(mail.mails) == 1


async def test_the_probe_of_a_mail_server_logs_in_once(mail: MailStandin, make: Make) -> None:
    bridge = make(mailto(mail))
    for _ in range(3):
        probe = await bridge.probe()
    assert (probe.state, probe.identity, mail.log_ins, mail.mails) == (
        ProbeState.OK, "box@plant.example", 1, []
    )  # fmt: skip


async def test_a_mail_goes_through_the_proxy(mail: MailStandin, make: Make) -> None:
    with SocksProxy("me", "hush-hush") as proxy:
        await make(mailto(mail), proxy=proxy.url("socks5h")).send_message(hello())
        assert proxy.asked == [("127.0.0.1", mail.port)]


async def test_a_file_is_nowhere_on_a_disk_and_its_name_is_no_path(mail: MailStandin, make: Make) -> None:
    file = Attachment("../../etc/log.txt", "text/plain; charset=utf-8", "错误\n".encode() * 100)
    await make(mailto(mail)).send_message(hello(attachments=(file,)))
    assert mail.files == [("log.txt", file.content)]


async def test_stopping_leaves_no_thread(discord: DiscordStandin, make: Make) -> None:
    bridge = make(DISCORD, api_root=discord.root)
    await bridge.send_message(hello())
    mine = [one for one in threading.enumerate() if one.name.startswith("apprise")]
    assert mine
    await bridge.stop()

    async def gone() -> bool:
        await asyncio.sleep(0.01)
        return not any(one.is_alive() for one in mine)

    await wait_for_async(gone, what="the end of the thread")
