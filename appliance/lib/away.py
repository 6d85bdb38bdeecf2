"""What says that the database is away, or would not answer in time: the same work may pass later."""

import psycopg
from psycopg.errors import IdleInTransactionSessionTimeout, TransactionTimeout

DATABASE_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    IdleInTransactionSessionTimeout,
    TransactionTimeout,
)
"""For ``except``. The two limits end a transaction that waited for somebody who holds a lock: nothing is wrong with it,
though PostgreSQL files them under internal errors."""
