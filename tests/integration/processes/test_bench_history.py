"""The rows that `bench pages` looks through fit the tables as they are today."""

from datetime import UTC, datetime

import psycopg
import pytest

from appliance.accounts.principal import BOX
from appliance.processes.bench.history import TASK, TASKS, Size, write_rows
from appliance.tasks.services import apply_text
from tests.database import address


@pytest.mark.django_db(transaction=True)
def test_a_month_of_rows_is_written() -> None:
    text = "".join(TASK.format(number=number) for number in range(TASKS))
    apply_text(text, "history.yaml", BOX, datetime.now(UTC))
    size = Size(runs=200, devices=5, topics=5, audit=10)
    with psycopg.connect(address()) as connection:
        write_rows(connection, size)
        for table, rows in {"runs_run": 200, "devices_device": 5, "bus_topicvalue": 5}.items():
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,), table
        # A month of partitions is nothing that another test should find.
        connection.rollback()
