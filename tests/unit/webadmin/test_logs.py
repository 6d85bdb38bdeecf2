"""A day without the database does not push everything else out of the logs."""

import logging
import sys

import pytest
from django.db import DataError, OperationalError
from redis.exceptions import ConnectionError as RedisAway

from webadmin.logs import LONGEST, BriefWhenAway


def logged(error: Exception, text: str = "tick %s", *arguments: object) -> str:
    """What a handler with the filter writes of an error that is logged with its traceback."""
    try:
        raise error
    except Exception:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, text, arguments or ("one",), sys.exc_info())
    assert BriefWhenAway().filter(record)
    return logging.Formatter("%(message)s").format(record)


def test_an_engine_that_is_away_is_one_line() -> None:
    assert logged(OperationalError("refused\nIs it running?")) == "tick one (OperationalError: refused)"
    assert logged(RedisAway("no socket 100%")) == "tick one (ConnectionError: no socket 100%)"


def test_also_behind_another_error() -> None:
    error = RuntimeError("could not fire")
    error.__cause__ = RedisAway("no socket")
    assert logged(error) == "tick one (RuntimeError: could not fire)"


@pytest.mark.parametrize("error", [DataError("bad"), KeyError("x")])
def test_every_other_error_keeps_its_traceback(error: Exception) -> None:
    assert "Traceback" in logged(error)


def test_a_message_that_carries_a_stack_is_cut() -> None:
    assert len(logged(RedisAway("no"), "%s", "stack " * 10_000)) < LONGEST + 100
