"""Which queries surely only look."""

import pytest

from appliance.actions.contract import EffectClass
from appliance.actions.sql import SqlAction, SqlParams
from appliance.actions.sql_plain import only_looks

LOOK = (
    "SELECT id, name FROM part WHERE stock < %(least)s",
    "select count(*), coalesce(max(at), now()) from reading where line in ('a', 'it''s; drop(') group by (line);",
    "WITH low AS (SELECT * FROM part WHERE stock < 5), b AS MATERIALIZED (TABLE part) SELECT * FROM low -- done(",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "VALUES (1, 'x'), (2, 'pg_terminate_backend(1)')",
    "SELECT cast(a AS numeric(10, 2)), b::varchar(3), extract(hour FROM at) FROM t WHERE EXISTS (SELECT 1)",
    "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM generate_series(1, 5) AS s(a)",
    'SELECT "id", count(*) FILTER (WHERE ok) FROM "my table" GROUP BY "id"',
    "SELECT a FROM t JOIN (SELECT b FROM u) AS v USING (b) GROUP BY GROUPING SETS ((a), ()) ORDER BY (a)",
    "SELECT a FROM t LEFT JOIN (TABLE u) AS v ON (x LIKE ('a')) GROUP BY ROLLUP (a)",
    "SELECT x FROM t WHERE y LIKE 'a%%' AND x = ANY (%(list)s)",
)
ACT = (
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_terminate_backend -- why\n (1)",
    'SELECT "pg_terminate_backend"(1)',
    'SELECT "count"(*) FROM t',
    "SELECT mine.count(*)",
    "SELECT * FROM dblink('host=x', 'DELETE FROM part') AS t(a int)",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT query_to_xml('SELECT pg_terminate_backend(1)', true, true, '')",
    "SELECT system('reboot'), filter(1)",
    "SELECT a, join(1) FROM t",
    "SELECT DISTINCT like(1)",
    "SELECT over(1), sets(2)",
    "COPY part TO PROGRAM 'sh'",
    "COPY (SELECT 1) TO PROGRAM 'sh'",
    "DO 'BEGIN END'",
    "EXPLAIN ANALYZE SELECT 1",
    "CALL anything()",
    "NOTIFY it",
    "SELECT 1; SELECT pg_terminate_backend(1)",
    r"SELECT 'a\'', pg_terminate_backend(1), 'b'",
    r"SELECT E'\'', pg_terminate_backend(1), '",
    "SELECT $$'$$, pg_terminate_backend(1), $$'$$",
    "SELECT 1 /* /* */ ' */, pg_terminate_backend(1) /* ' */",
    "SELECT U&\"pg\" (1)",
    "SELECT 'open, pg_terminate_backend(1)",
    'SELECT "open, pg_terminate_backend(1)',
    "SELECT ｐｇ(1)",
    "",
    ";",
)  # fmt: skip


def effect(query: str, *, write: bool = False) -> EffectClass:
    return SqlAction().effect(SqlParams.model_construct(database="shop", query=query, write=write))


@pytest.mark.parametrize("query", LOOK)
def test_a_plain_query_only_looks(query: str) -> None:
    assert only_looks(query)
    assert effect(query) is EffectClass.PURE


@pytest.mark.parametrize("query", ACT)
def test_what_may_reach_further_than_tables_acts(query: str) -> None:
    assert not only_looks(query)
    assert effect(query) is EffectClass.UNSAFE


def test_a_change_is_keyed_whatever_its_words() -> None:
    for query in ("UPDATE part SET stock = 1", LOOK[0]):
        assert effect(query, write=True) is EffectClass.KEYED
