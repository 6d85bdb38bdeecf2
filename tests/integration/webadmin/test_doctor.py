"""What the doctor found is on its page, in the menu and in the API, and in the reader's language."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from django.db import connection
from django.test import Client
from django.utils.translation import gettext, override
from django_celery_beat.models import PeriodicTask

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, Principal
from appliance.accounts.tokens import issue_api_token
from appliance.lib.config import get_config
from appliance.lib.doctor import Check, Found, Outcome, Patient, Severity, absent, good, problem
from appliance.lib.masking import KNOWN, MASK
from appliance.ops import doctor, services
from appliance.ops.doctor import Finding
from appliance.ops.errors import LookedJustNow
from appliance.ops.schedule import ROUNDS, ensure_rounds
from tests.integration.webadmin.test_api import Api

pytestmark = pytest.mark.django_db
Browsers = Callable[[Role], Client]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANA = Principal("user:ana", Role.ENGINEER)


def finding(id_: str, found: Found, severity: Severity = Severity.HIGH) -> Finding:
    return Finding(
        Check(id_, f"title of {id_}", severity, lambda _: found, f"mend <it> with `cmd {id_}`"), found
    )


def looked(*found: Finding, at: datetime = NOW, by: Principal = ANA) -> None:
    services.look(by, at, lambda patient: list(found))


LOW = finding("MW-S901", problem("a trifle"), Severity.LOW)
HIGH = finding("MW-S902", problem("the door <is> open"))
FINE = finding("MW-G901", good("version 16"))
NOT_HERE = finding("MW-G902", absent("no engine"))


def text(client: Client, path: str = "/doctor/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_box_that_nobody_has_looked_at_says_so(browser: Browsers) -> None:
    assert "Nobody has looked yet" in text(browser(Role.ENGINEER))


def test_findings_are_shown_with_what_mends_them_the_serious_first(browser: Browsers) -> None:
    looked(LOW, HIGH, FINE, NOT_HERE)
    page = text(browser(Role.ENGINEER))
    assert page.index("MW-S902") < page.index("MW-S901") < page.index("MW-G901")
    assert "2 things need somebody" in page
    assert "the door &lt;is&gt; open" in page
    assert "mend &lt;it&gt; with <code>cmd MW-S902</code>" in page
    assert '/docs/reference/checks.md#security"><code>MW-S902' in page
    assert "looked at by ana" in page
    assert 'datetime="2026-03-01T12:00:00+00:00"' in page
    assert "2 checks came out well" in page
    assert "Not looked at from here" not in page


def test_a_serious_finding_stands_in_the_menu_until_it_is_mended(browser: Browsers) -> None:
    engineer, operator = browser(Role.ENGINEER), browser(Role.OPERATOR)
    looked(LOW)
    assert "serious" not in text(engineer, "/")
    looked(LOW, HIGH, at=NOW + timedelta(hours=1))
    assert '<b class="count">1</b>' in text(engineer, "/tasks/")
    assert "The doctor found one serious thing." in text(engineer, "/")
    assert "/doctor/" not in text(operator, "/")
    looked(LOW, at=NOW + timedelta(hours=2))
    assert '<b class="count">1</b>' not in text(engineer, "/tasks/")


def test_of_two_looks_the_later_one_stays() -> None:
    looked(HIGH)
    looked(FINE, at=NOW - timedelta(minutes=1))
    assert services.count_serious() == 1


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root may read everything."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_what_may_not_be_read_is_never_taken_for_good(browser: Browsers) -> None:
    config = get_config()
    (check,) = [one for one in doctor.checks() if one.id == "MW-S014"]
    with TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / "secrets").mkdir(mode=0o300)
        (home / "secrets" / "root_key").touch(0o644)
        patient = Patient(config.model_copy(update={"home": type(config.home)(home, config.home.id)}), NOW)
        with as_somebody_else():
            found = doctor._look(check, patient)
        (home / "secrets").chmod(0o700)
        assert check.look(patient).outcome is Outcome.PROBLEM
    assert (found.outcome, found.said) == (Outcome.UNKNOWN, f"this process may not read {home}/secrets")
    looked(Finding(check, found))
    page = text(browser(Role.ENGINEER))
    assert "Not looked at from here" in page
    assert "manage.py doctor --all" in page
    assert f"{home}/secrets" in page


def test_the_api_gives_the_last_look_to_whoever_may(person: Callable[[Role], User]) -> None:
    api = Api(issue_api_token(person(Role.ENGINEER), "watch", [Ability.EXAMINE], BOX, NOW))
    assert api.get("/doctor") == {"at": None, "by": "", "serious": 0, "checks": []}
    looked(HIGH, FINE)
    answer = api.get("/doctor")
    assert (answer["serious"], answer["by"], answer["at"]) == (1, "user:ana", "2026-03-01T12:00:00Z")
    assert answer["checks"][0] == {
        "id": "MW-S902",
        "field": "security",
        "title": "title of MW-S902",
        "severity": "high",
        "outcome": "problem",
        "found": "the door <is> open",
        "fix": "mend <it> with `cmd MW-S902`",
    }
    other = Api(issue_api_token(person(Role.ADMIN), "other", [Ability.VIEW], BOX, NOW))
    other.get("/doctor", status=403)
    other.send("POST", "/doctor/look", status=403)
    assert services.last().at == NOW  # type: ignore[union-attr]  # it was there before


def test_look_now_asks_every_check(browser: Browsers) -> None:
    engineer = browser(Role.ENGINEER)
    assert engineer.post("/doctor/look/")["Location"] == "/doctor/"
    row = services.last()
    assert row is not None
    assert {one["id"] for one in row.findings} == {one.id for one in doctor.checks()}
    assert row.by == "user:engineer"
    assert "MW-S021" in text(engineer)


def test_it_does_not_look_again_at_once(browser: Browsers, person: Callable[[Role], User]) -> None:
    looked(HIGH, at=datetime.now(UTC))
    engineer = browser(Role.ENGINEER)
    said = " ".join(engineer.post("/doctor/look/", follow=True).content.decode().split())
    assert "the doctor has just looked, or is looking: see what it found (wait ten seconds" in said
    api = Api(issue_api_token(person(Role.ENGINEER), "watch", [Ability.EXAMINE], BOX, datetime.now(UTC)))
    assert api.send("POST", "/doctor/look", status=429)["code"] == "ops.looked_just_now"
    services.look_by_itself(datetime.now(UTC))
    assert services.count_serious() == 1
    looked(FINE, at=datetime.now(UTC) + services.REST)
    assert services.count_serious() == 0


def test_one_looks_at_a_time() -> None:
    def look(patient: Patient) -> list[Finding]:
        thread = Thread(target=second)
        thread.start()
        thread.join()
        return [HIGH]

    def second() -> None:
        try:
            services.look(ANA, NOW, lambda patient: [FINE])
        except LookedJustNow as error:
            refused.append(error)
        finally:
            connection.close()

    refused: list[LookedJustNow] = []
    services.look(ANA, NOW, look)
    assert len(refused) == 1
    looked(FINE, at=NOW + services.REST)  # and is let go again


def test_what_was_found_is_kept_without_secrets(browser: Browsers) -> None:
    KNOWN.learn("quiet-lathe-4711")
    try:
        looked(finding("MW-S903", problem("amqp://u:quiet-lathe-4711@h cannot be reached")))
    finally:
        KNOWN.forget()
    page = text(browser(Role.ENGINEER))
    assert f"amqp://u:{MASK}@h cannot be reached" in page
    assert "quiet-lathe" not in page


def test_the_box_looks_by_itself_unless_somebody_switched_that_off() -> None:
    ensure_rounds()
    row = PeriodicTask.objects.get(name=ROUNDS)
    assert (row.task, row.enabled, str(row.interval)) == ("ops.look", True, "every hour")
    PeriodicTask.objects.filter(name=ROUNDS).update(enabled=False)
    ensure_rounds()
    assert not PeriodicTask.objects.get(name=ROUNDS).enabled


def test_every_check_is_said_in_chinese_too() -> None:
    with override("zh-hans"):
        for one in doctor.checks():
            assert gettext(one.title) != one.title, one.id
            assert gettext(one.fix) != one.fix, one.id
