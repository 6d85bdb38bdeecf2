"""Chat platforms in the browser and over the API: added, changed, tested, exchanged as a file, removed."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token
from appliance.audit.models import AuditRecord
from appliance.bridges.models import Platform
from appliance.outbox.models import OutboxRow
from appliance.safety.models import Secret
from appliance.safety.secrets import resolve
from appliance.tasks.services import apply_text
from tests.standins.telegram import TOKEN, TelegramStandin

Browsers = Callable[[Role], Client]
BRIEF = Path(__file__).parents[3] / "examples" / "brief_platforms.json"
KEPT = "secret:platform.telegram.auth"


@pytest.fixture
def telegram() -> Iterator[TelegramStandin]:
    with TelegramStandin() as standin:
        yield standin


def said(**changes: Any) -> dict[str, Any]:
    return {"name": "telegram", "auth": TOKEN, "enabled": "on", "revision": "0", **changes}


def added(client: Client, **changes: Any) -> Platform:
    assert client.post("/platforms/add/telegram/", said(**changes)).status_code == 302
    return Platform.objects.get()


def test_a_platform_is_added_by_its_form_and_its_token_is_a_secret(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    cards = client.get("/platforms/add/").content.decode()
    assert all(
        name in cards for name in ("Telegram", "Feishu / Lark", "DingTalk", "WeCom", "Slack", "Apprise")
    )
    assert "@BotFather" in client.get("/platforms/add/telegram/").content.decode()
    answer = client.post("/platforms/add/telegram/", said(chat_id="5"))
    assert answer["Location"] == "/platform/telegram/"
    row = Platform.objects.get()
    assert row.config == {"name": "telegram", "auth": KEPT, "chat_id": 5}
    assert resolve(KEPT) == TOKEN
    page = client.get("/platform/telegram/").content.decode()
    assert TOKEN not in page
    assert KEPT in page
    assert client.get("/platforms/add/telegram/").context["form"]["name"].value() == "telegram-2"
    assert client.get("/platforms/add/webchat/").status_code == 404


def test_a_change_keeps_the_secret_and_is_on_record(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    added(client)
    change = said(revision="1", auth="", chat_id="7", proxy="socks5://me:hush@proxy:1080") | {
        "auth.reference": KEPT
    }
    assert client.post("/platform/telegram/", change).status_code == 302
    row = Platform.objects.get()
    assert row.config["auth"] == KEPT
    assert row.config["proxy"] == "secret:platform.telegram.proxy"
    record = AuditRecord.objects.filter(kind="platform.changed").latest("seq")
    assert (record.principal, record.detail["moved"]) == ("user:engineer", ["proxy"])
    assert resolve(KEPT) == TOKEN
    # A reference that is taken away forgets what was kept.
    change = said(revision="2", auth="") | {"auth.reference": "BOT_TOKEN"}
    assert client.post("/platform/telegram/", change).status_code == 302
    assert not Secret.objects.filter(name__startswith="platform.telegram.").exists()


def test_an_error_stands_at_its_field_in_the_persons_language(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    wrong = said(auth="", webhook="http://plain.example/x") | {"limit.messages": "0", "limit.per": "1m"}
    answer = client.post("/platforms/add/telegram/", wrong, headers={"Accept-Language": "zh-hans"})
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert set(errors) == {"auth", "webhook", "limit.messages"}
    assert errors["auth"] == ["此项必填"]
    page = answer.content.decode()
    assert page.index('name="webhook"') < page.index("https 地址") < page.index('name="message_parser"')
    answer = client.post("/platforms/add/telegram/", said(webhook="https://box.example/tasks/"))
    assert "webhook" in answer.context["form"].errors
    assert not Platform.objects.exists()
    assert not Secret.objects.exists()


def test_who_saves_on_what_somebody_else_has_changed_loses_nothing(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    added(client)
    theirs = said(revision="1", auth="", chat_id="7") | {"auth.reference": KEPT}
    assert client.post("/platform/telegram/", theirs).status_code == 302
    mine = said(revision="1", auth="another:token", chat_id="9") | {"auth.reference": KEPT}
    answer = client.post("/platform/telegram/", mine)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "somebody else changed telegram meanwhile" in page
    assert [(one.key, one.before, one.after) for one in answer.context["moved"]] == [
        ("auth", KEPT, "a new value"),
        ("chat_id", "7", "9"),
    ]
    assert "another:token" not in page
    assert answer.context["form"]["chat_id"].value() == "9"
    assert Platform.objects.get().config["chat_id"] == 7
    assert (
        client.post("/platform/telegram/", {**mine, "revision": answer.context["revision"]}).status_code
        == 302
    )
    assert Platform.objects.get().config["chat_id"] == 9


def test_the_test_goes_there_and_says_who_the_box_is_and_what_became_of_the_message(
    browser: Browsers, telegram: TelegramStandin
) -> None:
    client = browser(Role.ENGINEER)
    added(client, api_root=telegram.root)
    answer = client.post("/platform/telegram/test/", follow=True)
    page = answer.content.decode()
    assert re.search(r"telegram answered in \d+ ms: the box is @mill_test_bot there", page)
    assert 'id="test"' in page
    item = OutboxRow.objects.get(platform="telegram")
    assert f"?test={item.pk}" in answer.redirect_chain[0][0]
    OutboxRow.objects.filter(pk=item.pk).update(state="failed", reason="chat not found")
    assert "chat not found" in client.get(f"/platform/telegram/?test={item.pk}").content.decode()
    assert 'id="test"' not in client.get(f"/platform/webchat/?test={item.pk}").content.decode()
    assert AuditRecord.objects.filter(kind="platform.tested").exists()
    # One that is refused sends nothing.
    client.post("/platform/telegram/", said(revision="1", auth="1:wrong", api_root=telegram.root))
    answer = client.post("/platform/telegram/test/", follow=True)
    assert "message error" in answer.content.decode()
    assert OutboxRow.objects.count() == 1


def test_it_is_switched_and_removed_after_it_was_said_what_waits(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    added(client)
    client.post("/platform/telegram/switch/", {"enabled": "no"})
    assert not Platform.objects.get().enabled
    assert client.get("/platform/telegram/").context["form"]["enabled"].value() is False
    text = "- name: tells\n  trigger: manual\n  actions: [{type: notification, platform: telegram, message: hi}]\n"
    apply_text(text, "tells.yaml", BOX, datetime.now(UTC))
    OutboxRow.objects.all().delete()
    client.post("/platform/telegram/switch/", {"enabled": "yes"})
    page = client.get("/platform/telegram/remove/").content.decode()
    assert "/tasks/tells/" in page
    assert Platform.objects.exists()
    assert client.post("/platform/telegram/remove/")["Location"] == "/platforms/"
    assert not Platform.objects.exists()
    assert not Secret.objects.exists()
    assert client.get("/platform/telegram/").status_code == 404
    assert client.post("/platform/webchat/remove/").status_code == 404


def test_the_briefs_file_is_looked_at_and_taken_over(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    upload = SimpleUploadedFile("platforms.json", BRIEF.read_bytes())
    answer = client.post("/platforms/file/", {"file": upload})
    assert [(one.name, one.change) for one in answer.context["plan"]] == [
        ("telegram", "created"),
        ("enterprise_im", "created"),
    ]
    assert not Platform.objects.exists()
    assert client.post("/platforms/file/", {"sealed": answer.context["sealed"]})["Location"] == "/platforms/"
    assert Platform.objects.get(name="telegram").webhook_path == "/api/telegram"
    assert client.post("/platforms/file/", {"text": BRIEF.read_text()}).context["nothing"]
    fetched = client.get("/platforms/file/download/")
    assert "attachment" in fetched["Content-Disposition"]
    assert json.loads(fetched.content)["platforms"][1] == json.loads(BRIEF.read_text())["platforms"][0]


def test_secrets_of_a_file_are_moved_with_a_notice_and_never_shown(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    text = json.dumps({"platforms": [{"name": "telegram", "auth": TOKEN}]})
    answer = client.post("/platforms/file/", {"text": text})
    assert TOKEN not in answer.content.decode()
    assert answer.context["plan"][0].moved == ("auth",)
    done = client.post("/platforms/file/", {"sealed": answer.context["sealed"]}, follow=True).content.decode()
    assert KEPT in done
    assert TOKEN not in done
    assert resolve(KEPT) == TOKEN


def test_a_file_that_was_overtaken_or_is_another_persons_is_not_taken_over(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    sealed = client.post("/platforms/file/", {"text": BRIEF.read_text()}).context["sealed"]
    added(client)
    answer = client.post("/platforms/file/", {"sealed": sealed})
    assert answer.context["plan"][0].change == "changed"
    assert Platform.objects.count() == 1
    assert browser(Role.ADMIN).post("/platforms/file/", {"sealed": sealed}).status_code == 422
    assert client.post("/platforms/file/", {"sealed": "nonsense"}).status_code == 422


@pytest.mark.parametrize("text", ["", "{", '{"platforms": [{"name": "telegrm"}]}', "\x00", "[" * 9000])
def test_a_file_that_cannot_be_meant_is_refused_with_its_place(text: str, browser: Browsers) -> None:
    answer = browser(Role.ENGINEER).post("/platforms/file/", {"text": text})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert not Platform.objects.exists()


def test_a_viewer_sees_how_a_platform_is_and_nothing_to_change(browser: Browsers) -> None:
    added(browser(Role.ENGINEER))
    viewer = browser(Role.VIEWER)
    page = viewer.get("/platform/telegram/").content.decode()
    assert "<form" not in page.split("<main")[1]
    assert KEPT not in page
    assert viewer.post("/platform/telegram/", said(revision="1")).status_code == 403


def test_the_api_lists_keeps_tests_and_removes(
    person: Callable[[Role], User], telegram: TelegramStandin
) -> None:
    def program(*scopes: Ability) -> Client:
        name = f"with {len(scopes)}"
        token = issue_api_token(person(Role.ADMIN), name, scopes, BOX, datetime.now(UTC))
        return Client(headers={"Authorization": f"Bearer {token}"})

    client = program(*Ability)

    def put(by: Client, name: str, query: str = "", **body: Any) -> Any:
        return by.put(f"/api/v1/platforms/{name}{query}", json.dumps(body), content_type="application/json")

    made = put(client, "telegram", auth=TOKEN, api_root=telegram.root).json()
    assert (made["change"], made["moved"], made["platform"]["config"]["auth"]) == ("created", ["auth"], KEPT)
    assert put(client, "telegram", "?revision=7", auth="A").json()["code"] == "bridges.platform_moved"
    assert put(client, "telegram", "?revision=7", auth="A").status_code == 409
    refused = put(client, "night", kind="telegram", auth="A", webhook="http://x")
    assert (refused.status_code, refused.json()["problems"][0]["path"]) == (422, "webhook")
    assert [one["name"] for one in client.get("/api/v1/platforms").json()] == [
        "gateway",
        "telegram",
        "webchat",
    ]
    tested = client.post("/api/v1/platforms/telegram/test").json()
    assert (tested["state"], tested["identity"]) == ("ok", "@mill_test_bot")
    assert OutboxRow.objects.filter(pk=tested["item_id"]).exists()
    assert client.get("/api/v1/platforms/nobody").status_code == 404
    assert client.post("/api/v1/platforms/nobody/test").status_code == 404
    looking = program(Ability.VIEW)
    assert looking.get("/api/v1/platforms/telegram").json()["config"] == {}
    assert put(looking, "telegram", auth="A").status_code == 403
    assert looking.delete("/api/v1/platforms/telegram").status_code == 403
    assert client.delete("/api/v1/platforms/telegram").status_code == 204
    assert client.delete("/api/v1/platforms/telegram").status_code == 404
