"""An empty chain for each test: tests tamper with it as the owner of the tables can."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

Tamper = Callable[..., None]


def _as_owner(*statements: str) -> None:
    tables = ("audit_record", "audit_signature", "audit_head", "audit_anchor")
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.fixture
def tamper() -> Tamper:
    """Runs statements with the triggers switched off, as whoever owns the tables could."""
    return _as_owner


@pytest.fixture(autouse=True)
def empty_chain(transactional_db: None) -> Iterator[None]:
    clear = (
        "TRUNCATE audit_record, audit_signature, audit_anchor",
        "UPDATE audit_head SET seq = 0, hash = sha256('millwright audit')",
    )
    _as_owner(*clear)
    yield
    _as_owner(*clear)
