"""The SQL of tasks that is not the ORM's: the partitioned table of occurrences."""

CREATE_OCCURRENCE = """
CREATE TABLE tasks_occurrence (
    id uuid PRIMARY KEY,
    task_id bigint NOT NULL,
    trigger varchar(64) NOT NULL,
    due_at timestamptz NOT NULL,
    state varchar(12) NOT NULL,
    reason varchar(500) NOT NULL DEFAULT '',
    event jsonb NOT NULL DEFAULT '{}',
    run_id uuid,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
CREATE INDEX tasks_occurrence_task ON tasks_occurrence (task_id, id DESC);
CREATE TABLE tasks_revision (single boolean PRIMARY KEY DEFAULT true CHECK (single), number bigint NOT NULL);
INSERT INTO tasks_revision (number) VALUES (1);
"""

DROP_OCCURRENCE = "DROP TABLE tasks_occurrence; DROP TABLE tasks_revision"

INSERT_OCCURRENCE = """
INSERT INTO tasks_occurrence (id, task_id, trigger, due_at, state, reason, event, run_id)
VALUES (%(id)s, %(task_id)s, %(trigger)s, %(due_at)s, %(state)s, %(reason)s, %(event)s, %(run_id)s)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

BUMP_REVISION = "UPDATE tasks_revision SET number = number + 1"
READ_REVISION = "SELECT number FROM tasks_revision"
