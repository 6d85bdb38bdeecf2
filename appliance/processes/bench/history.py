"""A month of history for a box: runs, steps, occurrences, events, messages and devices, made by SQL in one go."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection, connect

from appliance.audit.services import AuditEntry, append
from appliance.processes.bench.box import Box
from appliance.processes.bench.filling import identifier, make_days
from appliance.processes.days import PARTITIONED

DAYS = 30
TASKS = 40
TASK = """
- name: history_{number:02}
  description: One of many
  triggers:
    - {{id: heard, mqtt: {{topic: "history/{number}/+", payload: json}}}}
    - {{id: often, every: 12h}}
  actions:
    - {{id: look, type: set, value: 1}}
    - {{id: tell, type: notification, platform: webchat, message: "hello"}}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is to look through."""

    runs: int = 100_000
    devices: int = 1_000
    topics: int = 3_000
    audit: int = 100_000


# Row n of a run lies n/runs of the way through the month; its identifier carries that time, as uuid7 does.
_AT = "now() - make_interval(days => %(days)s) * (1 - n / %(runs)s::float)"
_STATE = """CASE WHEN n %% 50 = 0 THEN 'failed' WHEN n %% 77 = 0 THEN 'cancelled'
    WHEN n > %(runs)s - 200 THEN 'waiting' ELSE 'succeeded' END"""

_STATEMENTS = [
    f"""INSERT INTO runs_run (id, task_id, version_id, occurrence_id, state, waiting_for, reason, principal, origin,
        trigger, inputs, created_at, started_at, finished_at)
    SELECT {identifier("at", "n")}, tasks[1 + n %% %(tasks)s], versions[1 + n %% %(tasks)s],
        {identifier("at", "n", "001")}, state, CASE state WHEN 'waiting' THEN 'approval' ELSE '' END,
        'a message came on history/' || n, 'trigger:history/heard', 'mqtt', 'heard',
        jsonb_build_object('topic', 'history/' || n, 'payload', jsonb_build_object('value', n)),
        at, at, CASE state WHEN 'waiting' THEN NULL ELSE at + interval '1 second' END
    FROM (SELECT n, {_AT} AS at, {_STATE} AS state FROM generate_series(1, %(runs)s) n) made,
        (SELECT array_agg(id ORDER BY id) AS tasks, array_agg(current_id ORDER BY id) AS versions
         FROM tasks_task WHERE name LIKE 'history!_%%' ESCAPE '!') known""",
    """INSERT INTO runs_step (run_id, step, attempt, position, kind, effect, state, epoch, input, output, stderr,
        started_at, finished_at)
    SELECT r.id, 'step-' || s, 1, s, 'shell', 'pure', 'succeeded', 1, '{"command": "tail -n 20 /var/log/syslog"}',
        to_jsonb(repeat('a line of output' || chr(10), 20)), '', r.created_at, r.created_at + interval '1 second'
    FROM runs_run r, generate_series(0, 2) s WHERE r.trigger = 'heard'""",
    """INSERT INTO tasks_occurrence (id, task_id, trigger, due_at, state, event, run_id, created_at)
    SELECT occurrence_id, task_id, trigger, created_at, 'fired', inputs, id, created_at
    FROM runs_run WHERE trigger = 'heard' AND occurrence_id IS NOT NULL""",
    """INSERT INTO events_event (at, type, subject, data)
    SELECT r.created_at, kind, 'run/' || r.id, jsonb_build_object('run_id', r.id, 'state', r.state)
    FROM runs_run r, unnest(ARRAY['run.changed', 'step.changed', 'occurrence.recorded']) kind
    WHERE r.trigger = 'heard' ORDER BY r.id""",
    """INSERT INTO outbox_item (id, key, platform, conversation, message, run_id, step_id, state, attempts, told,
        expires_at, created_at, finished_at, next_at)
    SELECT r.id, r.id || '/tell', 'mail-' || n %% 5, 'shift-' || n %% 20, '{"text": "the pump is hot"}', r.id, 'tell',
        CASE WHEN n %% 100 = 1 THEN 'failed' WHEN n %% 1000 = 2 THEN 'pending' ELSE 'delivered' END, 1, true,
        now() + interval '1 day', r.created_at, r.finished_at, now() + interval '1 day'
    FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM runs_run WHERE trigger = 'heard') r""",
    """INSERT INTO bridges_message (platform, conversation, inbound, author, title, text, buttons,
        run_id, created_at)
    SELECT 'webchat', 'feed', false, '', '', 'the pump is hot', '[]', id, created_at
    FROM runs_run WHERE trigger = 'heard' ORDER BY id LIMIT 20000""",
    """INSERT INTO devices_device (name, username, password_hash, publish, subscribe, created_at, created_by,
        silence_seconds)
    SELECT 'device-' || n, 'device-' || n, '', to_jsonb(ARRAY['devices/device-' || n || '/#']),
        to_jsonb(ARRAY['devices/device-' || n || '/#']), now(), 'bench', 300 FROM generate_series(1, %(devices)s) n""",
    """INSERT INTO bus_topicvalue (topic, payload, size, value, quality, retained, at, count, rate)
    SELECT 'devices/device-' || n %% %(devices)s || '/value-' || n, '42', 2, '42', 'good', false, now(), n, 0.5
    FROM generate_series(1, %(topics)s) n""",
    """INSERT INTO tasks_nottriggered (task_id, trigger, at, reason, event)
    SELECT id, 'heard', now(), 'when said no', '{"topic": "history/1"}' FROM tasks_task, generate_series(1, 20)
    WHERE name LIKE 'history!_%%' ESCAPE '!'""",
]


def fill(box: Box, size: Size) -> None:
    """Write it all and let the database look at it, as its own housekeeping would have done by then."""
    file = box.home.parent / "history.yaml"
    file.write_text("".join(TASK.format(number=number) for number in range(TASKS)))
    file.chmod(0o644)
    box.manage("tasks", "apply", str(file))
    with connect(box.config.database_url, autocommit=True) as connection:
        write_rows(connection, size)


def write_rows(connection: Connection[Any], size: Size) -> None:
    """The rows of a month, of the tasks that ``TASK`` made."""
    today = datetime.now(UTC).date()
    make_days(connection, PARTITIONED, today - timedelta(days=DAYS), DAYS)
    values = {"days": DAYS, "tasks": TASKS, "runs": size.runs, "devices": size.devices}
    for statement in _STATEMENTS:
        connection.execute(statement.encode(), {**values, "topics": size.topics})
    _audit(connection, size.audit)
    connection.execute("ANALYZE")


def _audit(connection: Connection[Any], records: int) -> None:
    now = datetime.now(UTC)
    for first in range(0, records, 2000):
        entries = [
            AuditEntry("step.intent", f"trigger:history_{n % TASKS}", f"run/{n}", {"kind": "shell"}, now)
            for n in range(first, min(first + 2000, records))
        ]
        append(connection, entries)
