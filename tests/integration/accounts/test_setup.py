from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from appliance.accounts.domain import Role
from appliance.accounts.errors import AccountRefused, SetupRefused
from appliance.accounts.models import SetupToken, User
from appliance.accounts.principal import CONSOLE
from appliance.accounts.services import create_user
from appliance.accounts.setup import VALID_FOR, ensure_admin, issue_setup_token, redeem, token_is_valid
from appliance.lib.config import get_config

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = "quiet-lathe-4711"


def issued() -> str:
    token = issue_setup_token(NOW)
    assert token
    return token


def test_the_link_makes_the_first_administrator_once() -> None:
    token = issued()
    assert token_is_valid(token, NOW)
    user = redeem(token, "ana", GOOD, NOW)
    assert (user.role, user.is_staff, user.is_superuser) == ("admin", True, True)
    assert user.check_password(GOOD)
    assert not token_is_valid(token, NOW)
    with pytest.raises(SetupRefused):
        redeem(token, "eve", GOOD, NOW)
    assert issue_setup_token(NOW) is None


def test_only_a_digest_is_kept() -> None:
    token = issued()
    assert token not in str(SetupToken.objects.values_list())


def test_a_link_ends() -> None:
    token = issued()
    with pytest.raises(SetupRefused):
        redeem(token, "ana", GOOD, NOW + VALID_FOR)
    assert not token_is_valid(token, NOW + VALID_FOR)


def test_a_new_link_ends_the_one_before() -> None:
    first, second = issued(), issued()
    with pytest.raises(SetupRefused):
        redeem(first, "ana", GOOD, NOW)
    redeem(second, "ana", GOOD, NOW)


@pytest.mark.parametrize("token", ["", "x", "\x00", "\ud800", "x" * 100_000])
def test_a_guess_is_refused(token: str) -> None:
    issued()
    with pytest.raises(SetupRefused):
        redeem(token, "ana", GOOD, NOW)


def test_a_weak_password_leaves_the_link_usable() -> None:
    token = issued()
    with pytest.raises(AccountRefused):
        redeem(token, "ana", "short", NOW)
    with pytest.raises(AccountRefused):
        redeem(token, "a name", GOOD, NOW)
    redeem(token, "ana", GOOD, NOW)


def test_two_people_on_one_link_give_one_administrator() -> None:
    token = issued()

    def attempt(name: str) -> bool:
        try:
            redeem(token, name, GOOD, NOW)
        except SetupRefused:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, ["a1", "a2", "a3", "a4"])) == [False, False, False, True]
    assert User.objects.count() == 1


def test_a_password_file_makes_the_administrator_without_a_person(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(GOOD + "\n")
    assert ensure_admin(file)
    assert not ensure_admin(file)
    assert User.objects.get().check_password(GOOD)


def test_a_password_file_that_is_absent_or_weak_is_told(tmp_path: Path) -> None:
    with pytest.raises(AccountRefused, match="cannot be read"):
        ensure_admin(tmp_path / "absent")
    (tmp_path / "weak").write_text("1234\n")
    with pytest.raises(AccountRefused):
        ensure_admin(tmp_path / "weak")
    assert not User.objects.exists()


@pytest.fixture
def public_url() -> str:
    return get_config().public_url


def test_the_command_prints_a_link_and_later_the_plain_address(
    capsys: pytest.CaptureFixture[str], public_url: str
) -> None:
    call_command("setup_link")
    link = capsys.readouterr().out.strip()
    assert link.startswith(f"{public_url}/setup/")
    assert token_is_valid(link.rstrip("/").rpartition("/")[2], datetime.now(UTC))
    create_user("ana", GOOD, Role.ADMIN, CONSOLE)
    call_command("setup_link")
    told = capsys.readouterr()
    assert told.out.strip() == public_url
    assert "administrator" in told.err


def test_a_link_is_good_for_a_day() -> None:
    assert timedelta(hours=1) <= VALID_FOR <= timedelta(days=2)


def test_a_used_link_stays_used_though_its_administrator_is_gone() -> None:
    token = issued()
    redeem(token, "ana", GOOD, NOW)
    User.objects.all().delete()
    with pytest.raises(SetupRefused):
        redeem(token, "eve", GOOD, NOW)
