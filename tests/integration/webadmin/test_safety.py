"""The page and the API of what holds the box back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, Principal
from appliance.accounts.tokens import issue_api_token
from appliance.audit.services import append_here
from appliance.lib.jsontypes import JsonObject
from appliance.safety.plant_state import services
from appliance.safety.plant_state.domain import Scope
from appliance.safety.policy.services import apply
from appliance.tasks.models import Task
from tests.integration.webadmin.test_api import Api

pytestmark = pytest.mark.usefixtures("greet")
Browsers = Callable[[Role], Client]
LOCK = {
    "lock-scope": "device",
    "lock-pattern": "pump-7",
    "lock-then": "deny",
    "lock-reason": "bearing <open>",
}
WINDOW = {
    "window-name": "nights",
    "window-scope": "topic",
    "window-pattern": "line3/#",
    "window-days": ["mon", "tue"],
    "window-begin": "22:00",
    "window-end": "06:00",
    "window-zone": "Europe/Paris",
    "window-then": "hold",
}


def text(client: Client) -> str:
    return client.get("/safety/").content.decode()


def test_a_lock_out_is_shown_and_only_its_maker_or_an_administrator_gives_it_back(browser: Browsers) -> None:
    operator, engineer = browser(Role.OPERATOR), browser(Role.ENGINEER)
    assert operator.post("/safety/lockouts/add/", LOCK).status_code == 302
    (row,) = services.lockouts()
    assert (row.by, row.pattern, row.then) == ("user:operator", "pump-7", "deny")
    for page in (text(operator), text(engineer)):
        assert "bearing &lt;open&gt;" in page
    address = f"/safety/lockouts/{row.pk}/end/"
    assert address in text(operator)
    assert address not in text(engineer)
    engineer.post(address, {"reason": "done"})
    assert services.lockouts(), "an engineer is no administrator"
    operator.post(address, {"reason": ""})
    assert services.lockouts(), "without a reason it stands"
    browser(Role.ADMIN).post(address, {"reason": "she went home"})
    assert services.lockouts() == []


def test_what_makes_no_sense_is_said_in_the_form(browser: Browsers) -> None:
    operator = browser(Role.OPERATOR)
    answer = operator.post("/safety/lockouts/add/", {**LOCK, "lock-scope": "topic", "lock-pattern": "a/#/b"})
    assert answer.status_code == 422
    assert services.lockouts() == []
    engineer = browser(Role.ENGINEER)
    changes: list[dict[str, Any]] = [
        {"window-zone": "Mars/Olympus"},
        {"window-begin": "25:00"},
        {"window-days": []},
    ]
    for wrong in changes:
        answer = engineer.post("/safety/windows/add/", {**WINDOW, **wrong})
        assert answer.status_code == 422
        assert 'class="message error"' in answer.content.decode()
    assert services.windows() == []


def test_a_window_is_planned_shown_and_removed(browser: Browsers) -> None:
    engineer = browser(Role.ENGINEER)
    assert engineer.post("/safety/windows/add/", WINDOW).status_code == 302
    assert "Mon Tue 22:00–06:00" in text(engineer)
    once = {**WINDOW, "window-name": "xmas", "window-days": [], "window-begin": "2100-12-24 18:00"}
    assert (
        engineer.post("/safety/windows/add/", {**once, "window-end": "2100-12-27 06:00"}).status_code == 302
    )
    found = {one.name: one for one in services.windows()}
    begins = found["xmas"].begins
    assert begins is not None
    assert begins.astimezone(UTC).hour == 17, "the time is the zone's own"
    engineer.post("/safety/windows/nights/remove/")
    assert list({one.name for one in services.windows()}) == ["xmas"]


def test_the_last_drill_and_the_budgets_are_shown(browser: Browsers, greet: Task) -> None:
    viewer = browser(Role.VIEWER)
    assert "manage.py allstop drill" in text(viewer)
    detail: JsonObject = {
        "level": "kill",
        "effects": 3,
        "last_effect_ms": 12.5,
        "sandbox_ms": 260.0,
        "met": True,
    }
    append_here("allstop.drill", "user:ana", "allstop", detail)
    budgets = "policy: 1\nname: t\nlayer: box\nbudgets: [{id: pub, kinds: mqtt, effects: 20, then: deny}]\n"
    apply(budgets, "p.yaml", CONSOLE, datetime.now(UTC), kinds=["mqtt"])
    page = text(viewer)
    assert "Last effect 12.5 ms after the order" in page
    assert "box/pub" in page
    assert "0 / 20" in page


def test_the_page_asks_the_database_as_often_for_many_rows_as_for_one(
    browser: Browsers, django_assert_max_num_queries: Callable[..., object]
) -> None:
    ana, now = Principal("user:ana", Role.ADMIN), datetime.now(UTC)
    hours = services.Hours(begins=now, ends=now + timedelta(hours=1))
    for number in range(30):
        services.lock_out(Scope.DEVICE, f"pump-{number}", "x", ana, now)
        services.plan(f"w{number}", Scope.BOX, "", hours, ana, now)
    viewer = browser(Role.VIEWER)
    with django_assert_max_num_queries(14):  # type: ignore[attr-defined]
        assert "pump-29" in text(viewer)


def test_programs_lock_out_plan_and_look_over_http(person: Callable[[Role], User]) -> None:
    token = issue_api_token(person(Role.ADMIN), "all", list(Ability), CONSOLE, datetime.now(UTC))
    api = Api(token)
    wanted = {"scope": "task", "pattern": "night-*", "reason": "cleaning"}
    made = api.send("POST", "/safety/lockouts", wanted)
    assert (made["by"], made["then"]) == ("token:admin/all", "deny")
    assert [one["id"] for one in api.get("/safety/lockouts")] == [made["id"]]
    api.send("POST", "/safety/lockouts", {**wanted, "reason": ""}, status=422)
    api.send("POST", f"/safety/lockouts/{made['id']}/end", {"reason": "clean"})
    api.send("POST", f"/safety/lockouts/{made['id']}/end", {"reason": "clean"}, status=404)
    week = {
        "name": "w",
        "scope": "box",
        "days": ["mon"],
        "begin": "22:00",
        "end": "06:00",
        "zone": "Europe/Paris",
    }
    (window,) = api.send("POST", "/safety/windows", week)
    assert window["weekly"] == {"days": ["mon"], "from": "22:00", "to": "06:00", "zone": "Europe/Paris"}
    api.send("POST", "/safety/windows", {**week, "name": "x", "zone": "Mars"}, status=422)
    api.send("DELETE", "/safety/windows/w", status=204)
    assert [one["rule"] for one in api.get("/safety/budgets")] == ["box/agent-repeats"]


def test_the_commands_do_the_same(person: Callable[[Role], User], capsys: pytest.CaptureFixture[str]) -> None:
    person(Role.OPERATOR)
    call_command("lockouts", "add", "device", "pump-7", "--as", "operator", "--reason", "open")
    (row,) = services.lockouts()
    call_command("lockouts", "list")
    call_command("maintenance", "plan", "w", "box", "--days", "mon", "--from", "22:00", "--to", "06:00")
    call_command("maintenance", "list", "--json")
    said = capsys.readouterr().out
    assert "device pump-7" in said
    assert "mon 22:00 to 06:00 UTC" in said
    with pytest.raises(CommandError, match="planned already"):
        call_command("maintenance", "plan", "w", "box", "--days", "mon", "--from", "22:00", "--to", "06:00")
    call_command("lockouts", "end", str(row.pk), "--as", "operator", "--reason", "closed")
    call_command("maintenance", "remove", "w")
    assert (services.lockouts(), services.windows()) == ([], [])
