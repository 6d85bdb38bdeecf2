"""Keyset pages: each begins after the key of the last row shown, so that a million rows cost what fifty do."""

from typing import TypeVar
from uuid import UUID

from django.db.models import Model

PAGE = 50
Row = TypeVar("Row", bound=Model)


def cut(rows: list[Row], size: int = PAGE) -> tuple[list[Row], object | None]:
    """A page of rows that were asked for with one more than ``size``, and the key that the next begins after."""
    return rows[:size], rows[size - 1].pk if len(rows) > size else None


def uuid_key(text: str) -> UUID | None:
    """A key from an address; None for anything that is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def number_key(text: str) -> int | None:
    """As ``uuid_key``, for rows that are counted."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
