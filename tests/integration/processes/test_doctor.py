"""The doctor finds what is wrong, says what to do, keeps its names, and never ends over a part that is away."""

import json
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.accounts.tokens import issue_api_token
from appliance.lib.config import Config, get_config
from appliance.lib.doctor import Check, Outcome, Patient, Severity
from appliance.ops import doctor
from appliance.processes.certificate import make_certificate
from appliance.safety.models import Secret
from appliance.safety.secrets import set_secret

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def outcome(id_: str, config: Config | None = None, now: datetime = NOW) -> tuple[Outcome, str]:
    (check,) = [one for one in doctor.checks() if one.id == id_]
    found = doctor._look(check, Patient(config or get_config(), now))
    return found.outcome, found.said


def changed(**what: Any) -> Config:
    return get_config().model_copy(update=what)


def test_names_are_one_of_a_kind_and_every_check_says_what_to_do() -> None:
    found = doctor.checks()
    assert len({one.id for one in found}) == len(found) > 35
    for one in found:
        assert re.fullmatch(r"MW-[GS]\d{3}", one.id)
        assert len(one.fix) > 15, one.id
        assert not one.title.endswith("."), one.id
        assert "|" not in one.fix + one.title, one.id


EXPOSED = {"http_listen": ("192.0.2.1", 443), "public_url": "http://192.0.2.1:443"}


@pytest.mark.parametrize(
    ("id_", "wrong", "right"),
    [
        ("MW-S001", EXPOSED, {**EXPOSED, "public_url": "https://192.0.2.1"}),
        (
            "MW-S002",
            {"mqtt_listen": ("0.0.0.0", 1883), "mqtt_tls": False},
            {"mqtt_listen": ("0.0.0.0", 1883), "mqtt_tls": True},
        ),
        ("MW-S005", {"debug": True}, {"debug": False}),
        ("MW-S006", EXPOSED, {}),
        (
            "MW-S007",
            {"public_url": "https://x", "hsts_seconds": 0},
            {"public_url": "https://x", "hsts_seconds": 9},
        ),
        ("MW-S009", {"allowed_hosts": ["*"]}, {"allowed_hosts": ["box"]}),
        (
            "MW-S010",
            {"trusted_proxies": (ip_network("10.0.0.0/8"),)},
            {"trusted_proxies": (ip_network("10.0.0.1"),)},
        ),
        ("MW-S010", {"public_url": "https://x", "http_tls": False}, {}),
        ("MW-S011", {"secret_key": "short"}, {"secret_key": "x" * 40}),
        ("MW-S022", {"two_step_roles": frozenset()}, {"two_step_roles": frozenset({"admin"})}),
        ("MW-G009", {"power_safe": False}, {"power_safe": True}),
        ("MW-G010", {"disk_free": 1 << 60}, {"disk_free": 1}),
    ],
)
def test_a_setting_that_opens_the_box_is_found(
    id_: str, wrong: dict[str, Any], right: dict[str, Any]
) -> None:
    assert outcome(id_, changed(**wrong))[0] is Outcome.PROBLEM
    assert outcome(id_, changed(**right))[0] is Outcome.GOOD


def test_a_certificate_that_ends_soon_is_found(tmp_path: Path) -> None:
    certificate, key = tmp_path / "box.crt", tmp_path / "box.key"
    make_certificate(certificate, key, ["localhost"])
    config = changed(http_tls=True, tls_own=True, tls_certificate=certificate, tls_key=key)
    now = datetime.now(UTC)
    assert outcome("MW-S003", config, now)[0] is Outcome.GOOD
    assert outcome("MW-S003", config, now + timedelta(days=3640))[0] is Outcome.PROBLEM
    assert "SHA-256" in outcome("MW-S004", config, now)[1]


def test_services_that_could_use_the_engine_themselves_are_found(tmp_path: Path) -> None:
    engine = tmp_path / "engine.sock"
    config = changed(container_engine=f"unix://{engine}")
    assert outcome("MW-S018", config)[0] is Outcome.ABSENT
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(engine))
    engine.chmod(0o666)
    assert outcome("MW-S018", config)[0] is Outcome.PROBLEM
    engine.chmod(0)
    assert outcome("MW-S018", config)[0] is Outcome.GOOD


def test_files_that_others_may_read_are_found(tmp_path: Path) -> None:
    home = get_config().home
    config = changed(home=type(home)(tmp_path, home.id), root_key=tmp_path / "secrets" / "root_key")
    (tmp_path / "secrets").mkdir()
    key = tmp_path / "secrets" / "root_key"
    key.write_text("x")
    tmp_path.chmod(0o700)
    key.chmod(0o644)
    assert outcome("MW-S014", config) == (Outcome.PROBLEM, "others may read root_key")
    assert "others may read" in outcome("MW-S016", config)[1]
    key.chmod(0o600)
    assert outcome("MW-S014", config)[0] is Outcome.GOOD
    assert outcome("MW-S016", config)[0] is Outcome.PROBLEM  # beside what it seals
    assert outcome("MW-S016", config.model_copy(update={"root_key_own": False}))[0] is Outcome.GOOD
    assert outcome("MW-S013", config)[0] is Outcome.GOOD
    tmp_path.chmod(0o755)
    assert outcome("MW-S013", config)[0] is Outcome.PROBLEM


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("id_", "spoil"),
    [
        ("MW-S020", lambda: User.objects.update(is_active=False)),
        ("MW-S021", lambda: None),
        ("MW-S023", lambda: token()),
        ("MW-S024", lambda: token()),
        ("MW-S025", lambda: User.objects.update(date_joined=NOW - timedelta(days=100))),
        ("MW-S031", lambda: _unopened()),
    ],
)
def test_accounts_and_secrets_that_need_somebody_are_found(id_: str, spoil: Callable[[], object]) -> None:
    create_user("root", "hammer-and-anvil-7", Role.ADMIN, BOX)
    if id_ != "MW-S021":
        assert outcome(id_)[0] in (Outcome.GOOD, Outcome.ABSENT)
    spoil()
    found, said = outcome(id_)
    assert found is Outcome.PROBLEM
    assert "hammer" not in said


def token() -> None:
    user = User.objects.get()
    issue_api_token(user, "old", [Ability.VIEW], BOX, NOW - timedelta(days=100))


def _unopened() -> None:
    set_secret("bot", "sesame-42", BOX, NOW)
    Secret.objects.update(token=b"mw1" + bytes(60))


@pytest.mark.django_db
def test_the_command_says_what_to_do_and_its_exit_status_who_must(capsys: pytest.CaptureFixture[str]) -> None:
    create_user("root", "hammer-and-anvil-7", Role.ADMIN, BOX)
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--security", "--json")
    assert ended.value.code == 1
    said = json.loads(capsys.readouterr().out)
    assert said["healthy"] is False
    (row,) = [one for one in said["checks"] if one["id"] == "MW-S021"]
    assert (row["outcome"], row["severity"], row["found"]) == ("problem", "medium", "without: root")
    assert row["fix"]
    assert {one["field"] for one in said["checks"]} == {"security"}


def test_a_check_that_fails_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(patient: Patient) -> Any:
        raise RuntimeError("secret detail")

    found = doctor._look(Check("MW-G999", "x", Severity.LOW, fails, "y"), Patient(get_config(), NOW))
    assert (found.outcome, found.said) == (Outcome.UNKNOWN, "could not be looked at: RuntimeError")


@pytest.mark.django_db
def test_tables_of_another_version_are_found() -> None:
    assert outcome("MW-G007")[0] is Outcome.GOOD
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'accounts' AND name = '0003_grants'")
    assert outcome("MW-G007") == (Outcome.PROBLEM, "1 are missing: accounts.0003_grants")


def test_the_page_of_checks_is_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("doctor", "--check")
    checks = doctor.checks()
    monkeypatch.setattr(doctor, "checks", lambda: checks[1:])
    with pytest.raises(CommandError):
        call_command("doctor", "--check")


def test_the_certificate_is_shown_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = get_config().home
    config = changed(
        home=type(home)(tmp_path, home.id),
        tls_certificate=tmp_path / "tls/box.crt",
        tls_key=tmp_path / "tls/box.key",
        tls_own=True,
    )
    command = "appliance.processes.management.commands.tls.get_config"
    monkeypatch.setattr(command, lambda: config)
    with pytest.raises(CommandError, match="there is no certificate"):
        call_command("tls", "show")
    call_command("tls", "renew", "--name", "box.plant")
    first = capsys.readouterr().out
    assert "box.plant" in first
    call_command("tls", "show", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["SHA-256"] in first
    call_command("tls", "renew")
    assert shown["SHA-256"] not in capsys.readouterr().out
    monkeypatch.setattr(command, lambda: config.model_copy(update={"tls_own": False}))
    with pytest.raises(CommandError, match="a certificate of yours"):
        call_command("tls", "renew")
