"""Without its database the box says so, in a page for people and in JSON for programs."""

import json

import psycopg
import pytest
from django.db import DataError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from webadmin.away import is_away, server_error


def answer(path: str, error: Exception) -> HttpResponse:
    request: HttpRequest = RequestFactory().get(path)
    try:
        raise error
    except Exception:
        return server_error(request)


def caused(by: psycopg.Error) -> OperationalError:
    error = OperationalError(str(by))
    error.__cause__ = by
    return error


def test_a_person_reads_that_the_database_is_away() -> None:
    page = answer("/runs/", OperationalError("connection refused"))
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert "The database is away" in page.content.decode()


@pytest.mark.parametrize("path", ["/hooks/line", "/api/v1/runs"])
def test_a_program_is_told_to_come_again(path: str) -> None:
    found = answer(path, OperationalError("connection refused"))
    assert (found.status_code, found["Retry-After"]) == (503, "5")
    assert json.loads(found.content) == {"error": "the database is away"}


def test_any_other_fault_is_the_box_s_own() -> None:
    page = answer("/", KeyError("x"))
    assert page.status_code == 500
    assert "Something broke" in page.content.decode()
    assert answer("/hooks/line", DataError("bad")).status_code == 500


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (psycopg.errors.AdminShutdown("terminating connection"), True),
        (psycopg.errors.TooManyConnections("sorry, too many clients"), True),
        (psycopg.errors.DeadlockDetected("deadlock"), False),
        (psycopg.errors.DiskFull("no space"), True),
    ],
)
def test_what_counts_as_away(error: psycopg.Error, away: bool) -> None:
    assert is_away(caused(error)) is away
