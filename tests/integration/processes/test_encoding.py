"""A database that does not keep text as UTF-8 is refused before the box writes into it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from appliance.lib.config import ROOT, get_config
from appliance.lib.doctor import Outcome
from appliance.processes.encoding import WrongEncoding, check, fault, refuse_other
from tests.database import address
from tests.integration.processes.test_doctor import outcome

NAME = "millwright_test_ascii"


@pytest.fixture(scope="module")
def ascii_database(django_db_setup: None, django_db_blocker: object) -> Iterator[str]:
    """The address of one that a PostgreSQL without a locale makes by itself."""
    url = get_config().database_url
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME}")
        server.execute(
            f"CREATE DATABASE {NAME} ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'"
        )
        yield urlsplit(url)._replace(path=f"/{NAME}").geturl()
        server.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


def test_one_is_told_by_its_name_with_what_was_expected(ascii_database: str) -> None:
    with psycopg.connect(ascii_database, client_encoding="utf8") as connection:
        said = f"the database {NAME} keeps text as SQL_ASCII; expected UTF8"
        assert fault(connection.cursor()) == said
    with psycopg.connect(address()) as connection:
        assert fault(connection.cursor()) == ""


def test_the_tables_are_not_made_in_one(ascii_database: str) -> None:
    environment = {**os.environ, "DATABASE_URL": ascii_database}
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--no-input"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert f"The database {NAME} keeps text as SQL_ASCII; expected UTF8." in done.stderr
    assert "createdb --encoding=UTF8" in done.stderr
    with psycopg.connect(ascii_database, client_encoding="utf8") as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert row == (0,)


@pytest.mark.django_db
def test_a_start_looks_and_so_does_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_other()
    assert check(databases=["default"]) == []
    assert outcome("MW-G017") == (Outcome.GOOD, "")
    monkeypatch.setattr("appliance.processes.encoding.WANTED", "UTF16")  # which no server has
    with pytest.raises(WrongEncoding, match="keeps text as UTF8; expected UTF16"):
        refuse_other()
    assert [error.id for error in check(databases=["default"])] == ["processes.E001"]
    assert outcome("MW-G017")[0] is Outcome.PROBLEM
