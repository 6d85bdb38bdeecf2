"""From a libpq URL to Django's DATABASES entry."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TRANSACTION_IDLE = "-c idle_in_transaction_session_timeout=60s"
"""A process that stands still in the middle of a transaction would hold its locks, the audit's too, for ever."""


def django_database(url: str) -> dict[str, Any]:
    """Django's settings of ``postgresql://user:password@host:port/name?host=/socket/folder``.

    A ``host`` in the query (a socket folder) wins over the one in the address, as in libpq.
    """
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "millwright",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", None) or unquote(parts.hostname or ""),
        "PORT": query.pop("port", None) or str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "options": TRANSACTION_IDLE,
            **query,
            "connect_timeout": int(query.get("connect_timeout", "5")),
        },
        "TEST": {"NAME": None},
    }
