"""The policy on its page and over the API: checked, applied, compared, rolled back, and explained on a run."""

from collections.abc import Callable
from datetime import UTC, datetime
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
from appliance.lib.jsontypes import JsonObject
from appliance.runs.models import Run, Step
from appliance.safety.policy.services import apply, current
from appliance.safety.policy.vocabulary import Layer
from tests.integration.webadmin.test_api import Api

Browsers = Callable[[Role], Client]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXAMPLE = (Path(__file__).resolve().parents[3] / "docs/examples/policy.yaml").read_text()
SMALL = "policy: 1\nname: small\nlayer: box\nrules: [{id: a, kinds: shell, decide: deny}]\n"
KINDS = ("shell", "container", "mqtt", "http")


def put(text: str) -> int:
    return apply(text, "p.yaml", BOX, NOW, kinds=KINDS).version.number


def number() -> int:
    standing = current(Layer.BOX)
    return standing.number if standing else 0


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content
    return answer.content.decode()


def test_without_a_policy_the_page_says_what_counts_and_offers_to_write_one(browser: Browsers) -> None:
    found = page(browser(Role.ADMIN), "/policy/")
    assert "No policy has been written for this layer" in found
    assert "/policy/box/edit/" in found
    assert "the other layer decides alone" in page(browser(Role.ADMIN), "/policy/site/")
    page(browser(Role.ADMIN), "/policy/hub/", 404)


def test_a_text_is_checked_as_it_is_typed(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    good = client.post("/policy/validate/", {"text": EXAMPLE}).content.decode()
    assert "6 cases come out as expected" in good
    assert "valves-closed" in good
    bad = client.post(
        "/policy/validate/", {"text": EXAMPLE.replace("decide:", "decides:", 1)}
    ).content.decode()
    assert 'data-line="17"' in bad
    assert "did you mean `decide`?" in bad
    assert number() == 0


def test_the_editor_starts_with_a_text_that_can_be_applied(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    for layer in Layer:
        text = client.get(f"/policy/{layer}/edit/").context["text"]
        answer = client.post(f"/policy/{layer}/edit/", {"text": text, "began": "0"})
        assert answer.status_code == 302, answer.content.decode()


def test_a_refused_text_is_given_back_and_changes_nothing(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    answer = client.post("/policy/box/edit/", {"text": SMALL + "  - {id: b\n", "began": "0"})
    assert answer.status_code == 422
    assert "data-line=" in answer.content.decode()
    lock = client.post("/policy/box/edit/", {"text": "policy: 1\nname: x\nlayer: box\ndefault: deny\n"})
    assert "nobody could act any more" in lock.content.decode()
    assert number() == 0


def test_who_began_with_an_older_version_does_not_overwrite_a_newer_one(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    put(SMALL)
    answer = client.post("/policy/box/edit/", {"text": EXAMPLE, "began": "0"})
    assert answer.status_code == 422
    assert "is in force by now; you began with 0" in answer.content.decode()
    assert client.post("/policy/box/edit/", {"text": EXAMPLE, "began": "1"}).status_code == 302
    assert number() == 2


def test_versions_are_compared_and_rolled_back(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    put(SMALL)
    put(SMALL.replace("id: a", "id: b"))
    found = page(client, "/policy/box/versions/2/")
    assert 'class="added"' in found
    assert "Put in force again" not in found
    assert "Put in force again" in page(client, "/policy/box/versions/1/")
    page(client, "/policy/box/versions/9/", 404)
    answer = client.post("/policy/box/versions/1/rollback/", {"began": "2"}, follow=True)
    assert "Version 1 of the box policy is in force." in answer.content.decode()
    assert number() == 1


def test_a_policy_that_cannot_be_read_is_said_loudly(browser: Browsers) -> None:
    put(SMALL)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE safety_policyversion DISABLE TRIGGER USER")
        cursor.execute("UPDATE safety_policyversion SET text = 'x'")
        cursor.execute("ALTER TABLE safety_policyversion ENABLE TRIGGER USER")
    assert "everything that acts is held" in page(browser(Role.ADMIN), "/policy/")


def test_the_page_asks_no_more_with_more_versions(
    browser: Browsers, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = browser(Role.ADMIN)
    for n in range(8):
        put(SMALL.replace("id: a", f"id: a{n}"))
    with django_assert_max_num_queries(10):
        page(client, "/policy/")


def test_a_run_page_says_which_rule_of_which_layer_decided(
    browser: Browsers, ended_run: Callable[..., UUID]
) -> None:
    run_id = ended_run()
    detail: JsonObject = {"gate": "box/valves-closed@3", "exit": 0}
    Step.objects.filter(run_id=run_id).update(detail=detail)
    found = page(browser(Role.ADMIN), f"/runs/{run_id}/")
    assert "the rule valves-closed of the box policy" in " ".join(found.split())
    assert "/policy/box/versions/3/" in found
    assert "box/valves-closed@3" not in found, "said in words, not once more in the details"
    assert "/policy/box/versions/3/" not in page(browser(Role.VIEWER), f"/runs/{run_id}/")


NEAR = """
policy: 1
name: near
layer: box
rules:
  - {id: not-you, kinds: KIND, principal: "user:nobody", decide: deny}
  - {id: here, kinds: KIND, decide: allow, reason: harmless}
"""


def test_it_leads_to_the_rules_that_nearly_decided(
    browser: Browsers,
    ended_run: Callable[..., UUID],
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    run_id, client = ended_run(), browser(Role.ADMIN)
    step = Step.objects.filter(run_id=run_id).order_by("position")[0]
    Step.objects.filter(pk=step.pk).update(
        detail={"gate": "box/here@1"}, kind="shell", input={"args": ["ls"]}
    )
    put(NEAR.replace("KIND", "shell"))
    where = f"/runs/{run_id}/why/?step={step.step}"
    assert where in page(client, f"/runs/{run_id}/")
    with django_assert_max_num_queries(14):
        found = " ".join(page(client, where).split())
    assert "harmless" in found
    assert "Nearly not-you: principal is" in found
    assert "the rule wants user:nobody" in found
    page(client, f"/runs/{run_id}/why/?step=nothing", 404)
    page(client, f"/runs/{UUID(int=7)}/why/", 404)
    page(browser(Role.ENGINEER), where, 403)
    assert where not in page(browser(Role.ENGINEER), f"/runs/{run_id}/")


def lead(run_id: UUID, origin: str, before: list[str], trigger: str = "manual") -> None:
    """As if such runs had led to it."""
    Run.objects.filter(pk=run_id).update(origin=origin, trigger=trigger, inputs={"origins": before})


@pytest.mark.parametrize(
    ("origin", "before", "trigger", "told"),
    [
        ("task", ["mqtt"], "press", "mqtt, then called by task press"),
        ("task", ["cron", "event"], "press", "cron, event, then called by task press"),
        ("manual", ["mqtt"], "m", "mqtt, then manual <code>m</code>"),
        ("api", [], "api", "<dd> api </dd>"),
    ],
)
def test_a_run_says_what_led_to_it(
    browser: Browsers,
    ended_run: Callable[..., UUID],
    origin: str,
    before: list[str],
    trigger: str,
    told: str,
) -> None:
    run_id = ended_run()
    lead(run_id, origin, before, trigger)
    found = " ".join(page(browser(Role.VIEWER), f"/runs/{run_id}/").split())
    judged = ", ".join(["api", "manual"] if origin == "api" else [origin, *before])
    assert told in found
    assert f"<dt>The policy judges it as</dt> <dd> {judged} </dd>" in found


def test_a_run_that_nothing_led_to_says_no_more_than_its_origin(
    browser: Browsers, ended_run: Callable[..., UUID]
) -> None:
    found = page(browser(Role.VIEWER), f"/runs/{ended_run()}/")
    assert "The policy judges it as" not in found


def test_the_page_of_near_rules_looks_at_each_origin(
    browser: Browsers, ended_run: Callable[..., UUID]
) -> None:
    run_id = ended_run()
    lead(run_id, "task", ["mqtt"])
    Step.objects.filter(run_id=run_id).update(kind="shell", input={"args": ["ls"]})
    put(SMALL.replace("kinds: shell", "kinds: shell, origin: mqtt, reason: not from outside"))
    found = " ".join(page(browser(Role.ADMIN), f"/runs/{run_id}/why/").split())
    assert "not from outside" in found
    assert "Nearly a: origin is task, the rule wants mqtt" in found
    for origin in ("task", "mqtt"):
        assert f"as {origin} </dt>" in found


# --- over the API ------------------------------------------------------------------------------------


@pytest.fixture
def api(person: Callable[[Role], User]) -> Api:
    return Api(issue_api_token(person(Role.ADMIN), "all", list(Ability), BOX, NOW))


def test_the_api_checks_applies_lists_and_rolls_back(api: Api) -> None:
    assert api.get("/policy") == []
    checked = api.send("POST", "/policy/check", {"text": EXAMPLE})
    assert (checked["problems"], len(checked["cases"])) == ([], 6)
    assert api.send("POST", "/policy/check", {"text": "policy: 2\n"})["problems"][0]["line"] == 1
    assert api.send("POST", "/policy/apply", {"text": SMALL, "expected": 0})["version"] == 1
    assert api.send("POST", "/policy/apply", {"text": EXAMPLE})["version"] == 2
    api.send("POST", "/policy/apply", {"text": SMALL, "expected": 1}, status=409)
    assert [row["version"] for row in api.get("/policy/box/versions")] == [2, 1]
    assert api.get("/policy/box/versions/1")["text"] == SMALL
    api.get("/policy/box/versions/9", status=404)
    assert api.send("POST", "/policy/box/rollback", {"version": 1})["changed"]
    (standing,) = api.get("/policy")
    assert (standing["version"], standing["text"]) == (1, SMALL)


def test_a_refused_policy_is_told_with_its_places(api: Api) -> None:
    refused = api.send("POST", "/policy/apply", {"text": SMALL.replace("shell", "shel")}, status=422)
    assert refused["code"] == "policy.file_refused"
    assert refused["problems"][0]["hint"] == "did you mean `shell`?"


def test_a_token_without_the_scope_and_an_engineer_get_nothing(person: Callable[[Role], User]) -> None:
    few: list[Any] = [ability for ability in Ability if ability is not Ability.MANAGE_POLICY]
    engineer = person(Role.ENGINEER)
    theirs = [ability for ability in Ability if engineer.can(ability)]
    for api in (
        Api(issue_api_token(person(Role.ADMIN), "few", few, BOX, NOW)),
        Api(issue_api_token(engineer, "all", theirs, BOX, NOW)),
    ):
        api.get("/policy", status=403)
        api.send("POST", "/policy/check", {"text": SMALL}, status=403)
        api.send("POST", "/policy/apply", {"text": SMALL}, status=403)
        api.send("POST", "/policy/box/rollback", {"version": 1}, status=403)
