"""Platforms as screens and the command line handle them; secrets rest as named secrets; webhooks are proved."""

import asyncio
import json
import sys
from io import StringIO
from pathlib import Path

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.audit.models import AuditRecord
from appliance.bridges import identities, services
from appliance.bridges.errors import PlatformMoved, PlatformsInvalid, PlatformUnknown
from appliance.bridges.exchange import export_platforms, plan_platforms
from appliance.bridges.inbox import CURSOR_KEPT, BridgeInbox
from appliance.bridges.messages import RawEvent
from appliance.bridges.models import ChatIdentity, Inbound, Platform
from appliance.bridges.ports import ProbeState
from appliance.bridges.probing import probe_platform
from appliance.bridges.secrets import mark
from appliance.bridges.webhooks import is_webhook, receive_webhook
from appliance.lib.clock import ManualClock, SystemClock
from appliance.outbox.models import OutboxRow
from appliance.safety.errors import SecretMissing
from appliance.safety.secrets import resolve
from tests.standins.telegram import TOKEN, TelegramStandin

from .conftest import House

BRIEF = Path(__file__).parents[3] / "examples" / "brief_platforms.json"
NOW = SystemClock().now
SECRET = "x-telegram-bot-api-secret-token"


def nothing(name: str) -> str | None:
    """An environment without variables."""
    return None


def test_the_brief_file_loads_and_loading_it_again_changes_nothing(clean: None) -> None:
    first = services.load_platforms(BRIEF, CONSOLE, NOW())
    assert [(one.name, one.change) for one in first] == [
        ("telegram", "created"),
        ("enterprise_im", "created"),
    ]
    assert [one.note for one in first] == ["", ""]
    assert {one.change for one in services.load_platforms(BRIEF, CONSOLE, NOW())} == {"unchanged"}
    assert {view.name for view in services.platforms()} == {"telegram", "enterprise_im", "webchat", "gateway"}
    assert Platform.objects.get(name="telegram").revision == 1
    assert AuditRecord.objects.filter(kind="platform.created", subject="platform/telegram").exists()


def test_a_file_with_a_problem_changes_nothing(clean: None, tmp_path: Path) -> None:
    bad = tmp_path / "platforms.json"
    bad.write_text('{"platforms": [{"name": "telegram", "auth": "A"}, {"name": "telegrm"}]}')
    with pytest.raises(PlatformsInvalid) as caught:
        services.load_platforms(bad, CONSOLE, NOW())
    assert str(bad) in str(caught.value)
    assert not Platform.objects.exists()
    with pytest.raises(PlatformsInvalid, match="cannot be read"):
        services.load_platforms(tmp_path / "none.json", CONSOLE, NOW())
    bad.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlatformsInvalid, match="UTF-8"):
        services.load_platforms(bad, CONSOLE, NOW())


def test_a_literal_secret_rests_as_a_named_one(clean: None) -> None:
    proxy = "socks5://me:hush@proxy:1080"
    services.save_platform({"name": "telegram", "auth": TOKEN, "proxy": proxy}, CONSOLE, NOW())
    row = Platform.objects.get(name="telegram")
    assert row.config["auth"] == "secret:platform.telegram.auth"
    assert TOKEN not in json.dumps(row.config) + row.digest
    assert "hush" not in json.dumps(row.config)
    assert resolve(row.config["auth"]) == TOKEN
    assert resolve(row.config["proxy"]) == proxy
    assert TOKEN not in repr(services.platform("telegram"))


def test_a_variable_that_was_set_while_loading_is_known_to_every_process_afterwards(
    clean: None, standin: TelegramStandin
) -> None:
    def load(**variables: str) -> list[str]:
        return [one.change for one in services.load_platforms(BRIEF, CONSOLE, NOW(), lookup=variables.get)]

    assert load() == ["created", "created"]
    assert load(BOT_TOKEN="110201543:first") == ["changed", "unchanged"]
    assert load(BOT_TOKEN=TOKEN) == ["changed", "unchanged"]
    assert load(BOT_TOKEN=TOKEN) == load() == ["unchanged", "unchanged"]
    assert probe_platform("telegram", lookup=nothing, telegram_api=standin.root).state is ProbeState.OK
    assert Platform.objects.get(name="telegram").config["auth"] == "BOT_TOKEN"


def test_an_entry_is_saved_as_a_whole_and_its_secrets_go_with_it(clean: None) -> None:
    services.save_platform({"name": "telegram", "auth": TOKEN, "chat_id": 5}, CONSOLE, NOW())
    kept = "secret:platform.telegram.auth"
    whole = {"name": "telegram", "auth": kept, "message_parser": "markdown_v2"}
    services.save_platform(whole, CONSOLE, NOW(), revision=1)
    row = Platform.objects.get(name="telegram")
    assert (row.config, row.revision) == (whole, 2)
    assert resolve(kept) == TOKEN
    with pytest.raises(PlatformsInvalid, match="unknown key"):
        services.save_platform({**whole, "colour": "red"}, CONSOLE, NOW())
    services.save_platform({"name": "telegram", "auth": "secret:other"}, CONSOLE, NOW())
    with pytest.raises(SecretMissing):
        resolve(kept)
    services.save_platform({"name": "telegram", "auth": TOKEN}, CONSOLE, NOW())
    services.remove_platform("telegram", CONSOLE)
    with pytest.raises(SecretMissing):
        resolve(kept)
    with pytest.raises(PlatformUnknown):
        services.platform("telegram")


def test_who_saves_on_what_somebody_else_has_changed_is_told(clean: None) -> None:
    services.save_platform({"name": "telegram", "auth": TOKEN}, CONSOLE, NOW(), revision=0)
    for stale in (0, 2):
        with pytest.raises(PlatformMoved):
            services.save_platform({"name": "telegram", "auth": "OTHER"}, CONSOLE, NOW(), revision=stale)
    with pytest.raises(PlatformMoved):
        services.save_platform({"name": "night", "kind": "telegram", "auth": "A"}, CONSOLE, NOW(), revision=1)
    assert Platform.objects.get().config["auth"] == "secret:platform.telegram.auth"


def test_what_looks_like_a_variable_is_a_value_where_it_was_typed(clean: None) -> None:
    services.save_platform({"name": "telegram", "auth": "LOUDTOKEN"}, CONSOLE, NOW(), typed=["auth"])
    assert Platform.objects.get().config["auth"] == "secret:platform.telegram.auth"
    assert resolve("secret:platform.telegram.auth") == "LOUDTOKEN"


def test_a_literal_in_a_file_is_moved_with_a_notice_and_on_record(clean: None) -> None:
    text = json.dumps({"platforms": [{"name": "telegram", "auth": TOKEN}]})
    for change in ("created", "unchanged"):
        [loaded] = services.load_platforms(text, CONSOLE, NOW())
        assert (loaded.change, loaded.moved) == (change, ("auth",))
        [notice] = loaded.notices
        assert "secret:platform.telegram.auth" in notice
        assert TOKEN not in notice
    record = AuditRecord.objects.filter(kind="platform.created").order_by("seq").last()
    assert record is not None
    assert record.detail == {"kind": "telegram", "moved": ["auth"], "adopted": []}
    [loaded] = services.load_platforms(BRIEF.read_text(), CONSOLE, NOW(), {"BOT_TOKEN": TOKEN}.get)[:1]
    assert "BOT_TOKEN" in loaded.notices[0]


def test_what_is_exported_loads_again_and_changes_nothing(clean: None) -> None:
    services.load_platforms(BRIEF, CONSOLE, NOW())
    proxy = "socks5://me:hush@proxy:1080"
    night = {"name": "night", "kind": "telegram", "auth": TOKEN, "proxy": proxy, "enabled": False}
    services.save_platform(night, CONSOLE, NOW())
    services.set_enabled("telegram", False, CONSOLE)
    text = export_platforms()
    assert "hush" not in text
    assert TOKEN not in text
    assert {one.change for one in plan_platforms(text)} == {"unchanged"}
    assert {one.change for one in services.load_platforms(text, CONSOLE, NOW())} == {"unchanged"}


def test_a_plan_says_what_a_file_would_change_and_changes_nothing(clean: None) -> None:
    services.load_platforms(BRIEF, CONSOLE, NOW())
    entry = {
        "name": "telegram",
        "auth": TOKEN,
        "webhook": "https://your-domain/api/telegram",
        "limit": {"messages": 5, "per": "1m"},
    }
    [plan] = plan_platforms(json.dumps({"platforms": [entry]}))
    assert (plan.change, plan.moved, plan.revision) == ("changed", ("auth",), 1)
    assert {one.key: (one.before, one.after) for one in plan.differences} == {
        "auth": ("BOT_TOKEN", "secret:platform.telegram.auth"),
        "message_parser": ("markdown_v2", ""),
        "limit.messages": ("", "5"),
        "limit.per": ("", "1m"),
    }
    assert plan_platforms(BRIEF.read_text(), nothing)[0].unset == ("BOT_TOKEN",)
    assert Platform.objects.get(name="telegram").config["auth"] == "BOT_TOKEN"


def test_two_platforms_are_not_called_under_one_path_and_no_setting_of_the_box_leaves_it(clean: None) -> None:
    services.load_platforms(BRIEF, CONSOLE, NOW())
    night = {"name": "night", "kind": "telegram", "auth": "NIGHT"}
    with pytest.raises(PlatformsInvalid, match="telegram is called under this path"):
        services.save_platform({**night, "webhook": "https://other/api/telegram"}, CONSOLE, NOW())
    for variable in ("DATABASE_URL", "MILLWRIGHT_SECRET_KEY"):
        with pytest.raises(PlatformsInvalid, match="a setting of the box itself"):
            services.save_platform({**night, "auth": variable}, CONSOLE, NOW())


def test_a_secret_of_something_else_is_for_those_who_may_use_it(clean: None) -> None:
    scopes = frozenset({Ability.MANAGE_BRIDGES})
    token = Principal("token:eve/bridges", Role.ENGINEER, scopes=scopes)
    with pytest.raises(NotAllowed):
        services.save_platform({"name": "telegram", "auth": "secret:webhook-github"}, token, NOW())
    services.save_platform({"name": "telegram", "auth": "secret:webhook-github"}, CONSOLE, NOW())
    kept = {"name": "telegram", "auth": "secret:webhook-github", "chat_id": 5}
    assert services.save_platform(kept, token, NOW()).change == "changed"


def test_a_probe_asks_the_platform_who_we_are(clean: None, standin: TelegramStandin) -> None:
    services.load_platforms(BRIEF, CONSOLE, NOW())
    missing = probe_platform("telegram", lookup=nothing, telegram_api=standin.root)
    assert (missing.state, "BOT_TOKEN" in missing.message) == (ProbeState.WAITING, True)
    found = probe_platform("telegram", lookup=lambda _: TOKEN, telegram_api=standin.root)
    assert (found.state, found.identity) == (ProbeState.OK, "@mill_test_bot")
    assert found.round_trip_ms is not None
    feishu = probe_platform("enterprise_im", lookup=nothing)
    assert (feishu.state, "APP_ID" in feishu.message) == (ProbeState.WAITING, True)
    assert probe_platform("webchat").state is ProbeState.OK
    with pytest.raises(PlatformUnknown):
        probe_platform("nobody")


def test_a_test_message_goes_through_the_outbox(clean: None) -> None:
    item = services.send_test("webchat", "does this arrive?", CONSOLE, NOW())
    assert OutboxRow.objects.get(pk=item).message == {"text": "does this arrive?"}
    assert services.platform("webchat").waiting == 1


def test_the_command_line_loads_lists_and_tests(clean: None, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        out = StringIO()
        call_command("platforms", *words, stdout=out)
        return out.getvalue()

    assert "telegram: created" in run("load", str(BRIEF))
    assert [row["name"] for row in json.loads(run("list", "--json"))] == [
        "enterprise_im",
        "gateway",
        "telegram",
        "webchat",
    ]
    assert "webchat: ok" in run("test", "webchat")
    with pytest.raises(SystemExit) as refused:
        run("test", "telegram")
    assert refused.value.code == 1
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(CommandError, match="not JSON"):
        run("load", str(broken))


# --- webhooks -------------------------------------------------------------------------------------


UPDATE = json.dumps({"update_id": 5, "message": {"message_id": 1, "chat": {"id": 1}}}).encode()


def given(path: str, headers: dict[str, str], body: bytes) -> int:
    return receive_webhook("POST", path, headers, body, NOW(), lookup={"BOT_TOKEN": TOKEN}.get).status


def test_a_webhook_needs_its_secret_and_is_durable_before_the_answer(clean: None) -> None:
    services.load_platforms(BRIEF, CONSOLE, NOW())
    secret = mark("webhook/telegram")
    assert is_webhook("/api/telegram")
    assert given("/api/telegram", {SECRET: "guess"}, UPDATE) == 403
    assert given("/api/telegram", {}, UPDATE) == 403
    assert given("/api/other", {SECRET: secret}, UPDATE) == 404
    assert given("/api/telegram", {SECRET: secret}, b"{") == 400
    assert given("/api/telegram", {SECRET: secret}, b"[" * 100_000) == 400
    assert given("/api/telegram", {SECRET: secret}, b"x" * 1_000_001) == 413
    assert not Inbound.objects.exists()
    assert given("/api/telegram", {SECRET.title(): secret}, UPDATE) == 200
    assert given("/api/telegram", {SECRET: secret}, UPDATE) == 200
    assert [row.event_id for row in Inbound.objects.all()] == ["5"]
    services.set_enabled("telegram", False, CONSOLE)
    assert given("/api/telegram", {SECRET: secret}, UPDATE) == 404


def test_a_platform_that_lacks_its_token_is_asked_to_try_again(clean: None) -> None:
    services.load_platforms(BRIEF, CONSOLE, NOW())
    headers = {SECRET: mark("webhook/telegram")}
    assert (
        receive_webhook("POST", "/api/telegram", headers, UPDATE, NOW(), lookup=lambda _: None).status == 503
    )
    assert not Inbound.objects.exists()


def test_a_webhook_is_served_on_the_path_that_its_configuration_names(clean: None, client: Client) -> None:
    """The brief's lies under /api/, where everything else is answered as a program expects it."""
    services.load_platforms(BRIEF, CONSOLE, NOW(), {"BOT_TOKEN": TOKEN}.get)
    headers = {SECRET: mark("webhook/telegram")}
    assert (
        client.post("/api/telegram", UPDATE, "application/json", headers={SECRET: "guess"}).status_code == 403
    )
    assert client.post("/api/telegram", UPDATE, "application/json", headers=headers).status_code == 200
    assert client.post("/api/telegran", UPDATE, "application/json", headers=headers).status_code == 404
    assert [row.event_id for row in Inbound.objects.all()] == ["5"]


# --- identities and positions ---------------------------------------------------------------------


def test_an_identity_acts_for_a_person_only_while_it_is_linked(ann: User) -> None:
    one = ChatIdentity.objects.create(platform="telegram", user_id="1", first_seen=NOW(), last_seen=NOW())
    assert [i.pk for i in identities.identities("telegram", strangers=True)] == [one.pk]
    identities.link_identity(one.pk, ann, CONSOLE)
    assert identities.identities(strangers=True) == []
    assert identities.identities(strangers=False)[0].person == ann
    identities.unlink_identity(one.pk, CONSOLE)
    assert [i.pk for i in identities.identities(strangers=True)] == [one.pk]
    assert AuditRecord.objects.filter(kind="chat_identity.linked").exists()


async def test_a_position_older_than_the_platform_keeps_it_is_not_used(house: House) -> None:
    await house.rows(
        "INSERT INTO bridges_platform (name, kind, config, digest, enabled, default_conversation, webhook_path,"
        " revision, cursor, health, updated_at) VALUES ('t', 'telegram', '{}', '', true, '', '', 1, '', '{}',"
        " now()) RETURNING id"
    )
    clock = ManualClock(NOW())
    inbox = BridgeInbox(house.pool, clock, "t", lambda: None)
    assert await inbox.cursor() is None
    await inbox.receive([RawEvent("41", {})], cursor="42")
    assert await inbox.cursor() == "42"
    clock.advance(CURSOR_KEPT)
    assert await inbox.cursor() == "42"
    clock.advance(CURSOR_KEPT)
    assert await inbox.cursor() is None


async def test_the_standin_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    record = tmp_path / "calls.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.standins.telegram",
        "--record",
        str(record),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        assert process.stdout is not None
        root = (await asyncio.wait_for(process.stdout.readline(), 10)).decode().strip()
        async with httpx.AsyncClient(trust_env=False, base_url=root) as client:
            answer = await client.post("/bot1:a/sendMessage", json={"chat_id": 1, "text": "hi"})
            assert answer.json()["ok"]
            bad = await client.post(
                "/bot1:a/sendMessage", json={"chat_id": 1, "text": "a.b", "parse_mode": "MarkdownV2"}
            )
            assert "can't parse entities" in bad.json()["description"]
            assert (await client.get("/_control/sent")).json()["texts"] == ["hi"]
        assert len(record.read_text().splitlines()) == 2
    finally:
        process.terminate()
        await process.wait()
