"""Nobody sees or does more than their role allows."""

import re
from collections.abc import Callable
from uuid import UUID

from django.test import Client
from django.urls import reverse

from appliance.accounts.domain import Role
from appliance.runs.models import Run
from appliance.safety.allstop import Level, current
from appliance.tasks.models import Task

Browsers = Callable[[Role], Client]
SOMETHING = UUID(int=7)
PAGES = {
    "/": Role.VIEWER,
    "/tasks/": Role.VIEWER,
    "/tasks/greet/": Role.VIEWER,
    "/tasks/greet/versions/1/": Role.VIEWER,
    "/tasks/greet/edit/": Role.ENGINEER,
    "/tasks/new/": Role.ENGINEER,
    "/runs/": Role.VIEWER,
    "/approvals/": Role.VIEWER,
    "/approvals/code/": Role.VIEWER,
    "/chat/": Role.VIEWER,
    "/bus/": Role.VIEWER,
    "/bus/brokers/": Role.VIEWER,
    "/devices/": Role.VIEWER,
    "/models/": Role.VIEWER,
    "/platforms/": Role.VIEWER,
    "/platform/webchat/": Role.VIEWER,
    "/platforms/add/": Role.ENGINEER,
    "/platforms/add/slack/": Role.ENGINEER,
    "/platforms/file/": Role.ENGINEER,
    "/platforms/file/download/": Role.ENGINEER,
    "/audit/": Role.ENGINEER,
    "/safety/": Role.VIEWER,
    "/doctor/": Role.ENGINEER,
    "/audit/alerts/": Role.ENGINEER,
    "/audit/rules/": Role.ENGINEER,
    "/audit/rules/edit/": Role.ADMIN,
    "/values/": Role.VIEWER,
    "/values/decided/": Role.VIEWER,
    "/api/v1/docs": Role.VIEWER,
    "/account/": Role.VIEWER,
    "/account/password/": Role.VIEWER,
    "/people/": Role.ADMIN,
    "/person/admin/": Role.ADMIN,
    "/tokens/": Role.ADMIN,
    "/secrets/": Role.ADMIN,
    "/policy/": Role.ADMIN,
    "/policy/site/": Role.ADMIN,
    "/policy/box/edit/": Role.ADMIN,
}
CHANGES = {
    "/tasks/validate/": Role.ENGINEER,
    "/tasks/greet/switch/": Role.ENGINEER,
    "/tasks/greet/start/": Role.OPERATOR,
    f"/approvals/{SOMETHING}/decide/": Role.OPERATOR,
    f"/runs/{SOMETHING}/act/": Role.OPERATOR,
    f"/runs/{SOMETHING}/resume/": Role.OPERATOR,
    f"/runs/{SOMETHING}/undo/": Role.OPERATOR,
    f"/runs/{SOMETHING}/agent/undo/": Role.OPERATOR,
    "/chat/write/": Role.OPERATOR,
    "/chat/forget/": Role.OPERATOR,
    "/chat/instruct/": Role.OPERATOR,
    "/chat/notes/1/": Role.OPERATOR,
    "/chat/assistant/": Role.ENGINEER,
    "/bus/publish/": Role.ENGINEER,
    "/bus/brokers/add/": Role.ENGINEER,
    "/bus/brokers/plant/test/": Role.ENGINEER,
    "/bus/brokers/plant/switch/": Role.ENGINEER,
    "/bus/brokers/plant/remove/": Role.ENGINEER,
    "/devices/add/": Role.ENGINEER,
    "/models/test/": Role.OPERATOR,
    "/models/matrix/": Role.ENGINEER,
    "/models/tiny/act/": Role.ENGINEER,
    "/models/tiny/serve/": Role.ENGINEER,
    "/devices/pump/revoke/": Role.ENGINEER,
    "/devices/pump/commands/": Role.ADMIN,
    "/platform/webchat/test/": Role.ENGINEER,
    "/platform/webchat/switch/": Role.ENGINEER,
    "/platforms/identities/1/": Role.ADMIN,
    "/platforms/mutes/1/end/": Role.OPERATOR,
    "/audit/verify/": Role.ENGINEER,
    "/audit/rules/validate/": Role.ADMIN,
    "/audit/rules/versions/1/rollback/": Role.ADMIN,
    f"/runs/{SOMETHING}/evidence/": Role.ENGINEER,
    "/values/conflicts/1/": Role.ENGINEER,
    "/values/parked/1/": Role.ENGINEER,
    "/simulator/": Role.ENGINEER,
    "/doctor/look/": Role.ENGINEER,
    "/safety/lockouts/add/": Role.OPERATOR,
    "/safety/lockouts/1/end/": Role.OPERATOR,
    "/safety/windows/add/": Role.ENGINEER,
    "/safety/windows/nights/remove/": Role.ENGINEER,
    "/people/add/": Role.ADMIN,
    "/person/admin/role/": Role.ADMIN,
    "/person/admin/switch/": Role.ADMIN,
    "/person/admin/password/": Role.ADMIN,
    "/person/admin/two-step/": Role.ADMIN,
    "/person/admin/grant/": Role.ADMIN,
    "/person/admin/withdraw/": Role.ADMIN,
    "/person/admin/log-out/": Role.ADMIN,
    "/tokens/add/": Role.ADMIN,
    "/tokens/1/revoke/": Role.ADMIN,
    "/secrets/set/": Role.ADMIN,
    "/policy/validate/": Role.ADMIN,
    "/policy/box/versions/1/rollback/": Role.ADMIN,
    "/secrets/API_KEY/remove/": Role.ADMIN,
    "/stop/": Role.OPERATOR,
    "/stop/release/": Role.ENGINEER,
}
BELOW = {Role.OPERATOR: Role.VIEWER, Role.ENGINEER: Role.OPERATOR, Role.ADMIN: Role.ENGINEER}


def test_a_page_is_for_those_with_its_role(browser: Browsers, greet: Task) -> None:
    browsers = {role: browser(role) for role in Role}
    may = {path: browsers[needed].get(path).status_code for path, needed in PAGES.items()}
    assert may == dict.fromkeys(PAGES, 200)
    guarded = {path: BELOW[needed] for path, needed in PAGES.items() if needed in BELOW}
    refused = {path: browsers[role].get(path).status_code for path, role in guarded.items()}
    assert refused == dict.fromkeys(guarded, 403)


def test_a_stranger_is_sent_to_the_log_in(db: None) -> None:
    for path in (*PAGES, *CHANGES):
        client = Client()
        answer = client.post(path) if path in CHANGES else client.get(path)
        assert answer.status_code == 302, path
        assert answer["Location"].startswith("/login/"), path


def test_a_change_is_refused_to_the_role_below(browser: Browsers, greet: Task) -> None:
    browsers = {role: browser(role) for role in Role}
    refused = {path: browsers[BELOW[needed]].post(path).status_code for path, needed in CHANGES.items()}
    assert refused == dict.fromkeys(CHANGES, 403)


def test_looking_at_a_change_changes_nothing(browser: Browsers, greet: Task) -> None:
    admin = browser(Role.ADMIN)
    assert {path: admin.get(path).status_code for path in CHANGES} == dict.fromkeys(CHANGES, 405)


def test_a_form_of_another_site_is_refused(person: Callable[[Role], object], db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(Role.ADMIN))  # type: ignore[arg-type]  # the fixture gives a User
    assert client.post("/stop/", {"level": "freeze"}).status_code == 403
    assert current().level is Level.NONE


def test_only_engineers_see_raw_rows_and_nobody_changes_them(browser: Browsers, greet: Task) -> None:
    assert browser(Role.VIEWER).get(reverse("admin:index")).status_code == 302
    engineer = browser(Role.ENGINEER)
    for name in ("tasks_task", "runs_run", "audit_auditrecord", "accounts_user", "events_eventrow"):
        assert engineer.get(reverse(f"admin:{name}_changelist")).status_code == 200
    admin = browser(Role.ADMIN)
    assert admin.get(reverse("admin:tasks_task_add")).status_code == 403
    row = reverse("admin:tasks_task_change", args=[greet.pk])
    assert admin.get(row).status_code == 200
    assert admin.post(row, {"name": "other"}).status_code == 403


def test_every_page_carries_the_strict_policy_and_keeps_to_it(browser: Browsers, greet: Task) -> None:
    browsers = {role: browser(role) for role in Role}
    for path in (*PAGES, "/login/"):
        client = Client() if path == "/login/" else browsers[PAGES[path]]
        answer = client.get(path)
        policy = answer["Content-Security-Policy"]
        page = answer.content.decode()
        assert "<script>" not in page, path
        assert not re.search(r"\s(?:style|on[a-z]+)=[\"']", page), path
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path


def test_what_a_step_printed_is_text_and_never_markup(
    browser: Browsers, ended_run: Callable[..., UUID]
) -> None:
    page = browser(Role.VIEWER).get(f"/runs/{ended_run()}/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert Run.objects.count() == 1
