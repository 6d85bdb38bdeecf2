"""One-time links for a password, and the second step as the command sees it."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.db import connection

from appliance.accounts.domain import Role
from appliance.accounts.errors import AccountRefused, LinkEnded, NoSuchUser
from appliance.accounts.links import invite, password_link, person_of, redeem
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.accounts.services import create_user, get_user
from appliance.audit.models import AuditRecord

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = "quiet-lathe-4711"


def parts(link: str) -> tuple[str, str]:
    who, _, token = link.partition("/")
    return who, token


def test_two_people_on_one_link_set_one_password() -> None:
    who, token = parts(invite("ana", Role.VIEWER, CONSOLE))

    def attempt(password: str) -> str:
        try:
            redeem(who, token, password)
        except LinkEnded:
            return ""
        finally:
            connection.close()
        return password

    with ThreadPoolExecutor(4) as pool:
        done = [password for password in pool.map(attempt, [f"{GOOD}-{n}" for n in range(4)]) if password]
    assert len(done) == 1
    assert get_user("ana").check_password(done[0])


def test_a_weak_password_leaves_the_link_usable() -> None:
    who, token = parts(invite("ana", Role.VIEWER, CONSOLE))
    with pytest.raises(AccountRefused):
        redeem(who, token, "short")
    redeem(who, token, GOOD)
    with pytest.raises(LinkEnded):
        redeem(who, token, GOOD)


def test_a_link_is_for_its_person_only() -> None:
    ana, bob = parts(invite("ana", Role.VIEWER, CONSOLE)), parts(invite("bob", Role.ADMIN, CONSOLE))
    assert person_of(*ana) == get_user("ana")
    assert person_of(bob[0], ana[1]) is None


def test_a_refused_name_makes_nobody_and_no_link() -> None:
    links = AuditRecord.objects.filter(kind="account.password_link")
    before = links.count()
    with pytest.raises(AccountRefused):
        invite("a b", Role.VIEWER, CONSOLE)
    with pytest.raises(NoSuchUser):
        password_link("nobody", CONSOLE)
    assert not User.objects.exists()
    assert links.count() == before


def test_the_command_shows_and_resets_a_second_step(capsys: pytest.CaptureFixture[str]) -> None:
    user = create_user("ana", GOOD, Role.VIEWER, CONSOLE)
    for kind in (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES):
        Authenticator.objects.create(user=user, type=kind, data={})
    call_command("users", "list", "--json")
    assert json.loads(capsys.readouterr().out)[0]["two_step"] is True
    call_command("users", "list")
    assert "two-step" in capsys.readouterr().out
    call_command("users", "reset-two-step", "ana")
    assert "password alone" in capsys.readouterr().out
    assert not Authenticator.objects.exists()
    record = AuditRecord.objects.order_by("-seq")[0]
    assert (record.kind, record.principal, record.subject) == (
        "account.two_step_reset", "console", "user:ana",
    )  # fmt: skip
    call_command("users", "reset-two-step", "ana")
    assert "had no second step" in capsys.readouterr().out
