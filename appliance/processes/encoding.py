"""The database must keep text as UTF-8: refused at the start, before the first row, and told by the doctor."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import OperationalError, connections

from appliance.lib.errors import MillwrightError

WANTED = "UTF8"
HINT = (
    "make another database for the box, as with createdb --encoding=UTF8 --template=template0 NAME, "
    "and name it in DATABASE_URL; an encoding cannot be changed afterwards"
)


class WrongEncoding(MillwrightError):
    code = "stack.database_encoding"


def fault(cursor: Any) -> str:
    """What is wrong with the database of this cursor; empty where nothing is.

    In SQL_ASCII it takes any bytes for text: names are compared, cut and counted wrongly, and what is no UTF-8 comes
    back as an error long after it was written.
    """
    cursor.execute("SELECT current_database(), current_setting('server_encoding')")
    name, found = cursor.fetchone()
    return "" if found == WANTED else f"the database {name} keeps text as {found}; expected {WANTED}"


def refuse_other() -> None:
    """Raises WrongEncoding. On Django's connection."""
    with connections["default"].cursor() as cursor:
        if said := fault(cursor):
            raise WrongEncoding(said, hint=HINT)


def check(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """The same for Django's ``migrate``, with which a box begins that is not started by ``up``."""
    if not databases or "default" not in databases:
        return []
    try:
        with connections["default"].cursor() as cursor:
            said = fault(cursor)
    except OperationalError:
        return []  # that it is away is said by whoever needs it
    return [Error(f"{said[:1].upper()}{said[1:]}.", hint=f"{HINT}.", id="processes.E001")] if said else []
