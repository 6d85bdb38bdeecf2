"""Named SQL of the queue: which runs a worker takes next. By priority; then tasks take turns; then the oldest.

What already runs of a task counts as turns that it has had, and so does what this worker has in hand, not yet claimed
or just over: else in those moments a task that floods the queue would win each turn by its age. The index has a
task's runs side by side, so that one with 100,000 of them costs no more than the few rows that may be taken: nothing
here sorts a queue.
"""

INDEX = """
DROP INDEX runs_run_queued;
CREATE INDEX runs_run_queued ON runs_run (priority DESC, task_id DESC, id) WHERE state = 'queued'
"""
INDEX_BACK = """
DROP INDEX runs_run_queued;
CREATE INDEX runs_run_queued ON runs_run (priority DESC, id) WHERE state = 'queued'
"""

# A function for its settings: the plans must follow the index whatever the statistics say. They are of a queue that
# was empty, and a minute later it holds 100,000 rows, which a plan for an empty one reads and sorts each time.
#
# A queue of up to 256 is read whole, in the index's own order, and nothing more is asked where all of it may be taken.
# In a longer one the index leads from task to task, one probe each; then come the first runs of each, as many as could
# be taken, and at most 2,048 of all tasks together: where so many tasks wait that a task's share is cut by that, the
# next look makes up for it.
CREATE = """
CREATE OR REPLACE FUNCTION runs_queue(known uuid[], room integer)
RETURNS TABLE (run_id uuid, longer boolean) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    ids uuid[];
    tasks bigint[];
    priorities smallint[];
BEGIN
    SELECT array_agg(q.id), array_agg(q.task_id), array_agg(q.priority) INTO ids, tasks, priorities FROM (
        SELECT r.id, r.task_id, r.priority FROM runs_run r
        WHERE r.state = 'queued' AND NOT r.id = ANY(known)
        ORDER BY r.priority DESC, r.task_id DESC, r.id LIMIT 257) q;
    IF ids IS NULL THEN
        RETURN;
    END IF;
    IF cardinality(ids) <= room THEN
        RETURN QUERY SELECT q.id, false FROM unnest(ids, priorities) q(id, priority)
            ORDER BY q.priority DESC, q.id;
    ELSIF cardinality(ids) <= 256 THEN
        RETURN QUERY
        WITH running AS MATERIALIZED (
            SELECT taken.task_id, count(*) AS taken FROM (
                SELECT r.id, r.task_id FROM runs_run r WHERE r.state = 'running'
                UNION SELECT r.id, r.task_id FROM runs_run r WHERE r.id = ANY(known)) taken
            GROUP BY taken.task_id)
        SELECT ranked.id, true FROM (
            SELECT q.id, q.priority, coalesce(r.taken, 0)
                + row_number() OVER (PARTITION BY q.priority, q.task_id ORDER BY q.id) AS turn
            FROM unnest(ids, tasks, priorities) q(id, task_id, priority)
            LEFT JOIN running r ON r.task_id = q.task_id) ranked
        ORDER BY ranked.priority DESC, ranked.turn, ranked.id LIMIT room;
    ELSE
        RETURN QUERY
        WITH RECURSIVE waiting AS (
            (SELECT r.priority, r.task_id FROM runs_run r WHERE r.state = 'queued'
                ORDER BY r.priority DESC, r.task_id DESC LIMIT 1)
            UNION ALL
            SELECT following.priority, following.task_id FROM waiting w CROSS JOIN LATERAL (
                SELECT r.priority, r.task_id FROM runs_run r
                WHERE r.state = 'queued' AND (r.priority, r.task_id) < (w.priority, w.task_id)
                ORDER BY r.priority DESC, r.task_id DESC LIMIT 1) following
        ), running AS MATERIALIZED (
            SELECT taken.task_id, count(*) AS taken FROM (
                SELECT r.id, r.task_id FROM runs_run r WHERE r.state = 'running'
                UNION SELECT r.id, r.task_id FROM runs_run r WHERE r.id = ANY(known)) taken
            GROUP BY taken.task_id
        ), task AS MATERIALIZED (
            SELECT w.priority, w.task_id, coalesce(r.taken, 0) AS taken,
                greatest(1, least(room, 2048 / count(*) OVER ())) AS most
            FROM waiting w LEFT JOIN running r ON r.task_id = w.task_id
        )
        SELECT ranked.id, true FROM (
            SELECT q.id, t.priority, t.taken
                + row_number() OVER (PARTITION BY t.priority, t.task_id ORDER BY q.id) AS turn
            FROM task t CROSS JOIN LATERAL (
                SELECT r.id FROM runs_run r
                WHERE r.state = 'queued' AND r.priority = t.priority AND r.task_id = t.task_id
                    AND NOT r.id = ANY(known)
                ORDER BY r.id LIMIT t.most) q) ranked
        ORDER BY ranked.priority DESC, ranked.turn, ranked.id LIMIT room;
    END IF;
END $$
"""
DROP = "DROP FUNCTION runs_queue(uuid[], integer)"

NEXT = "SELECT run_id, longer FROM runs_queue(%(known)s::uuid[], %(room)s)"
