"""The pages of people, API tokens and secrets."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user, set_active
from appliance.accounts.tokens import authenticate, issue_api_token
from appliance.audit.models import AuditRecord
from appliance.bridges.models import Platform
from appliance.bus.models import Broker
from appliance.cache.models import CachePeer
from appliance.safety.models import Secret
from appliance.safety.secrets import resolve, set_secret
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text
from webadmin.pages import people as people_page
from webadmin.pages import secrets as secrets_page
from webadmin.pages.secrets import uses_of

Browsers = Callable[[Role], Client]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
FRESH = "anvil-and-tongs-8"


def link_on(page: str) -> str:
    return page.partition('id="password-link">')[2].partition("<")[0].partition("/password/")[2]


def last() -> tuple[str, str, str]:
    record = AuditRecord.objects.order_by("-seq")[0]
    return record.kind, record.principal, record.subject


def test_somebody_new_chooses_a_password_by_a_link_that_works_once(browser: Browsers) -> None:
    admin = browser(Role.ADMIN)
    answer = admin.post("/people/add/", {"name": "bob", "role": "operator"})
    path = "/password/" + link_on(answer.content.decode())
    assert link_on(admin.get("/person/bob/").content.decode()) == ""
    stranger = Client()
    assert "<b>bob</b>" in stranger.get(path).content.decode()
    form = {"password": "short", "again": "short"}
    assert "too short" in stranger.post(path, form).content.decode()
    assert stranger.post(path, {"password": FRESH, "again": FRESH})["Location"] == "/login/"
    assert last() == ("account.password", "password-link", "user:bob")
    assert stranger.get(path).status_code == 410
    assert stranger.post(path, {"password": "other" + FRESH, "again": "other" + FRESH}).status_code == 410
    assert User.objects.get(username="bob").check_password(FRESH)
    assert User.objects.get(username="bob").role == "operator"


def test_a_link_ends_when_its_person_logs_in_or_is_locked_out(browser: Browsers) -> None:
    create_user("bob", FRESH, Role.VIEWER, BOX)
    admin = browser(Role.ADMIN)
    path = "/password/" + link_on(admin.post("/person/bob/password/").content.decode())
    assert last() == ("account.password_link", "user:admin", "user:bob")
    assert Client().get(path).status_code == 200
    Client().post("/login/", {"username": "bob", "password": FRESH})
    assert Client().get(path).status_code == 410
    path = "/password/" + link_on(admin.post("/person/bob/password/").content.decode())
    set_active("bob", False, BOX)
    assert Client().get(path).status_code == 410


@pytest.mark.parametrize(
    "path", ["Mg/guessed", "x/y", "%00/%00", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA/aaaaaa-bbbbbb"]
)
def test_a_guessed_link_is_none(path: str, db: None) -> None:
    assert Client().get(f"/password/{path}/").status_code == 410


def test_a_name_that_cannot_be_is_refused_with_the_form(browser: Browsers) -> None:
    admin = browser(Role.ADMIN)
    assert admin.post("/people/add/", {"name": "a b", "role": "viewer"}).status_code == 422
    assert admin.post("/people/add/", {"name": "bob", "role": "emperor"}).status_code == 422
    assert "taken" in admin.post("/people/add/", {"name": "admin", "role": "viewer"}).content.decode()
    assert User.objects.count() == 1


def test_roles_and_access_change_and_the_last_administrator_stays(browser: Browsers) -> None:
    create_user("bob", FRESH, Role.VIEWER, BOX)
    admin, bob = browser(Role.ADMIN), Client()
    bob.force_login(User.objects.get(username="bob"))
    assert bob.get("/people/").status_code == 403
    admin.post("/person/bob/role/", {"role": "admin"})
    assert bob.get("/people/").status_code == 200
    admin.post("/person/bob/role/", {"role": "emperor"})
    assert User.objects.get(username="bob").role == "admin"
    admin.post("/person/bob/switch/", {"active": "no"})
    assert bob.get("/people/").status_code == 302
    assert "locked out" in admin.get("/people/").content.decode()
    refused = admin.post("/person/admin/switch/", {"active": "no"}, follow=True).content.decode()
    assert "last administrator" in refused
    admin.post("/person/bob/switch/", {"active": "yes"})
    assert last() == ("account.enabled", "user:admin", "user:bob")


def test_nobody_is_said_to_be_not_there(browser: Browsers) -> None:
    admin = browser(Role.ADMIN)
    assert admin.get("/person/nobody/").status_code == 404
    for what in ("role", "switch", "password", "two-step"):
        assert admin.post(f"/person/nobody/{what}/", {"role": "viewer"}).status_code == 404


def test_a_token_is_shown_once_works_within_its_scopes_and_ends(browser: Browsers) -> None:
    admin = browser(Role.ADMIN)
    form = {"name": "grafana", "person": "admin", "scopes": ["view"], "days": "30"}
    page = admin.post("/tokens/add/", form).content.decode()
    text = page.partition('id="token">')[2].partition("<")[0]
    assert text.startswith("mw_")
    listed = admin.get("/tokens/").content.decode()
    assert text not in listed
    assert "made by admin" in " ".join(listed.split())
    bearer = {"Authorization": f"Bearer {text}"}
    assert Client().get("/api/v1/status", headers=bearer).status_code == 200
    stop = Client().post("/api/v1/allstop", {"level": "freeze"}, "application/json", headers=bearer)
    assert stop.status_code == 403
    token = ApiToken.objects.get()
    assert token.expires_at is not None
    assert authenticate(text, token.expires_at) is None
    admin.post(f"/tokens/{token.pk}/revoke/")
    assert Client().get("/api/v1/status", headers=bearer).status_code == 401
    assert "revoked" in admin.get("/tokens/").content.decode()
    ApiToken.objects.update(issued_by=None)
    assert "Nobody knows who made it" in admin.get("/tokens/").content.decode()


def test_a_token_never_gets_more_than_its_person_has(browser: Browsers) -> None:
    create_user("bob", FRESH, Role.VIEWER, BOX)
    form = {"name": "x", "person": "bob", "scopes": ["view", "edit_tasks"], "days": ""}
    answer = browser(Role.ADMIN).post("/tokens/add/", form)
    assert answer.status_code == 422
    assert "cannot give a token the right to edit_tasks" in answer.content.decode()
    wrong: list[dict[str, Sequence[str]]] = [
        {"person": "nobody"},
        {"scopes": ["fly"]},
        {"scopes": []},
        {"days": "9999"},
        {"name": ""},
    ]
    for changed in wrong:
        fit = {**form, "scopes": ["view"], **changed}
        assert browser(Role.ADMIN).post("/tokens/add/", fit).status_code == 422, changed
    assert not ApiToken.objects.exists()


def test_a_secret_is_kept_replaced_forgotten_and_never_shown(browser: Browsers) -> None:
    admin = browser(Role.ADMIN)
    key = "-----BEGIN KEY-----\r\nabc\r\n-----END KEY-----\r\n"
    seen = admin.post("/secrets/set/", {"name": "KEY", "value": key}, follow=True).content.decode()
    assert resolve("secret:KEY") == "-----BEGIN KEY-----\nabc\n-----END KEY-----"
    assert last() == ("secret.set", "user:admin", "secret:KEY")
    seen += admin.post("/secrets/set/", {"name": "a b", "value": "BEGIN KEY again"}).content.decode()
    seen += admin.get("/secrets/?name=KEY").content.decode()
    assert "BEGIN KEY" not in seen
    admin.post("/secrets/set/", {"name": "KEY", "value": " with spaces "})
    assert resolve("secret:KEY") == " with spaces "
    assert admin.post("/secrets/set/", {"name": "KEY", "value": "abc"}).status_code == 422
    admin.post("/secrets/KEY/remove/")
    assert not Secret.objects.exists()
    assert "no secret" in admin.post("/secrets/KEY/remove/", follow=True).content.decode()


def test_a_secret_tells_what_names_it(browser: Browsers, greet: Task) -> None:
    text = """- name: calls
  triggers:
    - id: hook
      webhook: {name: deploy, secret: deploy_key}
    - id: other
      webhook: {name: other}
  actions:
    - type: http
      url: https://example.com/
      headers: {Authorization: "Bearer secret:API_KEY"}  # not secret:API
    - {type: sql, database: shop, query: SELECT 1}
"""
    for name in ("API_KEY", "shop"):
        set_secret(name, "12345678", BOX, NOW)
    Broker.objects.create(name="hall", url="mqtt://x", password="secret:hall", updated_at=NOW)
    CachePeer.objects.create(name="far", url="http://x", token="secret:far")
    apply_text(text, "calls.yaml", BOX, NOW)
    Platform.objects.create(name="work", kind="telegram", config={"auth": "secret:BOT"})
    assert uses_of(
        ["API_KEY", "deploy_key", "webhook-other", "BOT", "API", "webhook-deploy", "shop", "hall", "far"]
    ) == {
        "API_KEY": [("task", "calls")],
        "deploy_key": [("task", "calls")],
        "webhook-other": [("task", "calls")],
        "BOT": [("platform", "work")],
        "API": [],
        "webhook-deploy": [],
        "shop": [("task", "calls")],
        "hall": [("broker", "hall")],
        "far": [("box", "far")],
    }
    set_secret("deploy_key", "12345678", BOX, NOW)
    page = browser(Role.ADMIN).get("/secrets/").content.decode()
    assert '<a href="/tasks/calls/">calls</a>' in page
    assert "Forget shop? From now on these fail when they need it: calls" in page


def test_lists_of_names_go_on_where_the_page_before_ended(
    browser: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = browser(Role.ADMIN)
    for number in range(4):
        grow(number)
    for page, path, seen_in in ((people_page, "/people/", "people"), (secrets_page, "/secrets/", "secrets")):
        monkeypatch.setattr(page, "PAGE", 2)
        seen, after = 0, ""
        while after is not None:
            answer = admin.get(f"{path}?after={after}")
            seen, after = seen + len(answer.context[seen_in]), answer.context["next"]
        assert seen == (5 if path == "/people/" else 4)


def grow(number: int) -> None:
    user = create_user(f"person-{number}", FRESH, Role.VIEWER, BOX)
    issue_api_token(user, "robot", [Ability.VIEW], BOX, NOW)
    set_secret(f"KEY_{number}", "12345678", BOX, NOW)


@pytest.mark.parametrize("path", ["/people/", "/person/admin/", "/tokens/", "/secrets/", "/account/"])
def test_a_page_asks_as_many_questions_for_many_as_for_few(path: str, browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    grow(0)
    few = questions(client, path)
    for number in range(1, 6):
        grow(number)
    assert questions(client, path) == few <= 13


def questions(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(path).status_code == 200
    return len(asked)


def test_an_operator_of_line_3_sees_the_buttons_of_those_tasks_and_no_others(
    browser: Browsers, greet: Task
) -> None:
    admin, vic = browser(Role.ADMIN), browser(Role.VIEWER)
    start = 'action="/tasks/greet/start/"'
    assert start not in vic.get("/tasks/greet/").content.decode()
    assert vic.post("/tasks/greet/start/").status_code == 403
    form = {"role": "operator", "tasks": "gr?et", "topics": ""}
    assert admin.post("/person/viewer/grant/", form)["Location"] == "/person/viewer/"
    assert "gr?et" in admin.get("/person/viewer/").content.decode()
    assert last() == ("account.granted", "user:admin", "user:viewer")
    assert "/tasks/greet/start/" in vic.get("/tasks/greet/").content.decode()
    assert vic.post("/tasks/greet/start/")["Location"].startswith("/runs/")
    apply_text("- name: other\n  trigger: manual\n  actions: [{type: set, value: 1}]\n", "o.yaml", BOX, NOW)
    assert "/tasks/other/start/" not in vic.get("/tasks/other/").content.decode()
    refused = vic.post("/tasks/other/start/", follow=True).content.decode()
    assert "viewer on other" in refused
    assert admin.post("/person/viewer/withdraw/", form)["Location"] == "/person/viewer/"
    assert vic.post("/tasks/greet/start/").status_code == 403


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"role": "admin", "tasks": "x"}, "Choose a role"),
        ({"role": "operator"}, "names tasks, topics, devices or secrets"),
        ({"role": "operator", "tasks": "a b"}, "no pattern of task names"),
        ({"role": "engineer", "topics": "a/#/b"}, "# stands alone"),
    ],
)
def test_a_grant_that_cannot_be_meant_is_refused_with_what_was_expected(
    browser: Browsers, person: Callable[[Role], User], form: dict[str, str], said: str
) -> None:
    person(Role.VIEWER)
    answer = browser(Role.ADMIN).post("/person/viewer/grant/", form, follow=True)
    assert said in answer.content.decode()
    assert User.objects.get(username="viewer").grants == []


def test_the_api_grants_lists_and_logs_out(browser: Browsers, person: Callable[[Role], User]) -> None:
    person(Role.VIEWER)
    admin, viewer = browser(Role.ADMIN), browser(Role.VIEWER)
    grant = {"role": "operator", "tasks": "line3-*", "topics": "", "devices": "", "secrets": ""}
    path = "/api/v1/people/viewer/grants"
    assert admin.post(path, grant, content_type="application/json").json() == [grant]
    (row,) = [one for one in admin.get("/api/v1/people").json()["items"] if one["name"] == "viewer"]
    assert row["grants"] == [grant]
    assert admin.post(f"{path}/withdraw", grant, content_type="application/json").json() == []
    assert viewer.get("/api/v1/people").status_code == 403
    assert viewer.post(path, grant, content_type="application/json").status_code == 403
    assert admin.get("/api/v1/people/nobody/sessions").status_code == 404
    cache.clear()
    viewer.get("/")
    assert len(admin.get("/api/v1/people/viewer/sessions").json()) == 1
    assert admin.delete("/api/v1/people/viewer/sessions").json() == {"ended": 1}
    assert viewer.get("/").status_code == 302
