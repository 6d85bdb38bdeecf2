import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import AccountRefused, LastAdmin, NoSuchUser
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.accounts.services import create_user, get_user, set_active, set_password, set_role
from appliance.audit.models import AuditRecord
from appliance.events import AccountChanged
from appliance.events.services import current_cursor, read_after
from tests.wait import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = "quiet-lathe-4711"


def person(name: str = "ana", role: Role = Role.OPERATOR) -> User:
    return create_user(name, GOOD, role, CONSOLE)


def test_a_role_decides_what_a_person_may_do() -> None:
    user = person()
    assert user.can(Ability.RUN_TASKS)
    assert not user.can(Ability.EDIT_TASKS)
    set_role("ana", Role.ENGINEER, CONSOLE)
    assert get_user("ana").can(Ability.EDIT_TASKS)


def test_a_disabled_person_may_do_nothing() -> None:
    person()
    assert not set_active("ana", False, CONSOLE).can(Ability.VIEW)


@pytest.mark.parametrize("name", ["", "ana ana", "a/b", "x" * 151, "a\x00b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(AccountRefused):
        person(name)


def test_a_taken_name_is_refused() -> None:
    person()
    with pytest.raises(AccountRefused, match="taken"):
        person()


def test_the_last_administrator_stays() -> None:
    person("ana", Role.ADMIN)
    with pytest.raises(LastAdmin):
        set_role("ana", Role.OPERATOR, CONSOLE)
    with pytest.raises(LastAdmin):
        set_active("ana", False, CONSOLE)


def test_two_administrators_who_demote_each_other_leave_one() -> None:
    person("ana", Role.ADMIN)
    person("ben", Role.ADMIN)

    def demote(name: str) -> None:
        try:
            set_role(name, Role.VIEWER, CONSOLE)
        except LastAdmin:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(demote, ["ana", "ben"]))
    assert User.objects.filter(role="admin").count() == 1


def test_every_change_is_an_event_and_on_record() -> None:
    start = current_cursor()
    person()
    set_password("ana", GOOD + "!", CONSOLE)
    entries = wait_for(lambda: len(read_after(start).entries) == 2 and read_after(start).entries)
    assert [entry.event for entry in entries] == [
        AccountChanged(username="ana", change="created", principal="console"),
        AccountChanged(username="ana", change="password", principal="console"),
    ]
    last = AuditRecord.objects.filter(subject="user:ana").order_by("-seq")[:2]
    assert [record.kind for record in last] == ["account.password", "account.created"]
    assert GOOD not in last[0].body


def test_the_command_adds_lists_and_mends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "password"
    file.write_text(GOOD + "\n")
    call_command("users", "add", "ana", "--role", "engineer", "--password-file", str(file))
    call_command("users", "list", "--json")
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert listed == [
        {
            "name": "ana",
            "role": "engineer",
            "active": True,
            "two_step": False,
            "grants": [],
            "last_login": None,
        }
    ]
    file.write_text("another-lathe-4712")
    call_command("users", "password", "ana", "--password-file", str(file))
    assert get_user("ana").check_password("another-lathe-4712")
    call_command("users", "role", "ana", "viewer")
    call_command("users", "disable", "ana")
    assert (get_user("ana").role, get_user("ana").is_active) == ("viewer", False)
    call_command("users", "list")
    assert "disabled" in capsys.readouterr().out


def test_the_command_tells_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no user 'eve'"):
        call_command("users", "role", "eve", "admin")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("users", "add", "ana", "--password-file", str(tmp_path / "absent"))
    with pytest.raises(NoSuchUser):
        set_password("eve", GOOD, CONSOLE)
