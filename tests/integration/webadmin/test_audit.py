"""The audit record and its alerts on their pages and over the API."""

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token
from appliance.alerts.models import Alert
from appliance.alerts.services import apply, current
from appliance.audit.models import AuditRecord
from appliance.audit.services import append_here
from tests.integration.webadmin.test_api import Api

Browsers = Callable[[Role], Client]
MakeRun = Callable[..., UUID]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXAMPLE = (Path(__file__).resolve().parents[3] / "docs/examples/alerts.yaml").read_text()
SMALL = "alerts: 1\nname: small\nrules: [{id: starts, kinds: run.started}]\n"


def page(client: Client, path: str, status: int = 200, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == status, answer.content
    return answer.content.decode()


@pytest.fixture
def api(person: Callable[[Role], User]) -> Api:
    scopes = [Ability.VIEW_AUDIT, Ability.MANAGE_POLICY, Ability.VIEW]
    return Api(issue_api_token(person(Role.ADMIN), "t", scopes, BOX, NOW))


def alert(rule: str = "token-made", **more: Any) -> Alert:
    told = {
        "version": 0, "severity": "warning", "reason": "a program can act", "kind": "token.issued",
        "principal": "user:ana", "subject": "token:ana/x", "first_seq": 1, "last_seq": 9, "count": 3, "told": 3,
        "messages": 1, "opened_at": NOW, "last_at": NOW + timedelta(minutes=1),
    }  # fmt: skip
    return Alert.objects.create(rule=rule, **{**told, **more})


def test_the_record_is_searched_on_its_page(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    append_here("x.page", "user:somebody", "device/drill-7", {"note": "<b>heavy</b> rain"})
    found = page(client, "/audit/", about="drill-7", text="RAIN")
    assert "device/drill-7" in found
    assert "<b>heavy</b>" not in found
    assert "No such record" in page(client, "/audit/", about="drill-7", text="snow")
    assert "is no time" in page(client, "/audit/", since="yesterday")
    until = datetime.now(UTC) - timedelta(days=9999)
    assert "device/drill-7" not in page(client, "/audit/", until=f"{until:%Y-%m-%dT%H:%M}")


def test_the_fingerprint_of_the_key_is_shown_where_people_look(browser: Browsers, api: Api) -> None:
    key = api.get("/audit/key")
    assert key["fingerprint"] in page(browser(Role.ENGINEER), "/audit/")
    assert key["pem"].startswith("-----BEGIN PUBLIC KEY-----")


def test_the_evidence_of_a_run_is_a_file_that_the_browser_keeps(
    browser: Browsers, ended_run: MakeRun, transactional_db: None
) -> None:
    run_id = ended_run()
    client = browser(Role.ENGINEER)
    assert f"/runs/{run_id}/evidence/" in page(client, f"/runs/{run_id}/")
    assert f"/runs/{run_id}/evidence/" not in page(browser(Role.VIEWER), f"/runs/{run_id}/")
    answer = client.post(f"/runs/{run_id}/evidence/")
    assert answer["Content-Disposition"] == f'attachment; filename="evidence-{run_id}.zip"'
    assert "run.json" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    last = AuditRecord.objects.order_by("-seq")[0]
    assert (last.kind, last.principal) == ("audit.exported", "user:engineer")
    assert client.post(f"/runs/{UUID(int=5)}/evidence/").status_code == 404


def test_the_evidence_over_the_api(api: Api, ended_run: MakeRun, transactional_db: None) -> None:
    answer = api._client.post(f"/api/v1/runs/{ended_run()}/evidence")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/zip"
    api.send("POST", f"/runs/{UUID(int=5)}/evidence", status=404)


def test_alerts_are_listed_with_where_they_stand_on_record(browser: Browsers, api: Api) -> None:
    alert()
    alert("broken", first_seq=0, last_seq=0, count=1)
    found = page(browser(Role.ENGINEER), "/audit/alerts/")
    assert "/audit/?before=10" in found
    assert "not on record" in found
    assert (
        "token-made"
        not in page(browser(Role.ENGINEER), "/audit/alerts/", rule="broken").partition("<main")[2]
    )
    assert [one["rule"] for one in api.get("/audit/alerts")] == ["broken", "token-made"]


def test_the_pages_cost_as_many_questions_for_many_rows_as_for_few(
    browser: Browsers, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = browser(Role.ADMIN)
    for n in range(60):
        alert(f"rule-{n}")
        append_here("x.many", "user:ana", f"thing/{n}", {})
    with django_assert_max_num_queries(20):
        page(client, "/audit/alerts/")
    with django_assert_max_num_queries(20):
        page(client, "/audit/", kind="x.*", text="many")


def test_the_rules_that_the_box_came_with_are_shown_until_others_are_applied(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    assert "as the box came" in page(client, "/audit/rules/")
    assert (
        "Edit"
        not in page(browser(Role.ENGINEER), "/audit/rules/").partition("<main")[2].partition("columns")[0]
    )
    text = client.get("/audit/rules/edit/").context["text"]
    answer = client.post("/audit/rules/edit/", {"text": text + "# mine\n", "began": "0"})
    assert answer.status_code == 302, answer.content.decode()
    assert "Lines are marked against the rules that the box came with" in page(
        client, "/audit/rules/versions/1/"
    )
    page(client, "/audit/rules/versions/2/", 404)


def test_a_text_is_checked_as_it_is_typed_and_a_bad_one_changes_nothing(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    good = client.post("/audit/rules/validate/", {"text": EXAMPLE}).content.decode()
    assert "3 cases come out as expected" in good
    bad = client.post("/audit/rules/validate/", {"text": SMALL.replace("kinds", "kind")}).content.decode()
    assert "did you mean `kinds`?" in bad
    answer = client.post("/audit/rules/edit/", {"text": SMALL.replace("kinds", "kind"), "began": "0"})
    assert answer.status_code == 422
    assert current() is None


def test_who_began_with_another_version_is_told(browser: Browsers, api: Api) -> None:
    apply(SMALL, "a", BOX, NOW)
    answer = browser(Role.ADMIN).post("/audit/rules/edit/", {"text": EXAMPLE, "began": "0"})
    assert answer.status_code == 422
    assert "is in force by now" in answer.content.decode()
    api.send("POST", "/audit/rules/apply", {"text": EXAMPLE, "expected": 0}, 409)


def test_an_earlier_version_is_put_in_force_again_as_a_new_one(browser: Browsers, api: Api) -> None:
    apply(SMALL, "a", BOX, NOW)
    assert api.send("POST", "/audit/rules/apply", {"text": EXAMPLE, "expected": 1}) == {
        "version": 2,
        "changed": True,
    }
    answer = browser(Role.ADMIN).post("/audit/rules/versions/1/rollback/", {"began": "2"})
    assert answer.status_code == 302
    assert api.get("/audit/rules") == {"version": 3, "text": SMALL}
    assert [one["number"] for one in api.get("/audit/rules/versions")] == [3, 2, 1]
    assert api.send("POST", "/audit/rules/rollback", {"version": 2})["version"] == 4
    kinds = (
        AuditRecord.objects.filter(kind__startswith="alerts.").order_by("-seq").values_list("kind", flat=True)
    )
    assert list(kinds[:4]) == ["alerts.rollback", "alerts.rollback", "alerts.apply", "alerts.apply"]


def test_a_bad_file_over_the_api_has_its_places(api: Api) -> None:
    said = api.send("POST", "/audit/rules/check", {"text": "alerts: 1\nname: n\nrules: [{id: a}]\n"})
    assert said["problems"][0]["line"] == 3
    told = api.send("POST", "/audit/rules/apply", {"text": "alerts: 2\n"}, 422)
    assert told["message"] == "the alert rules were refused"


def test_the_record_is_searched_over_the_api(api: Api) -> None:
    append_here("x.api", "user:ana", "thing/1", {"n": 1})
    append_here("x.api", "user:ana", "thing/2", {"n": 2})
    first = api.get("/audit", kind="x.api", limit=1)
    assert first["items"][0]["detail"] == {"n": 2}
    second = api.get("/audit", kind="x.api", limit=1, before=first["next"])
    assert second["items"][0]["subject"] == "thing/1"
    api.get("/audit", status=422, limit=0)
    api.get("/audit", status=422, since="yesterday")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
