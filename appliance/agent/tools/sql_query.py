"""``sql_query``: read from a database of one's own."""

from appliance.actions.sql_plain import only_looks
from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject


class SqlQueryArguments(Arguments):
    query: str
    """One SELECT statement for PostgreSQL."""
    database: str
    """The stored secret that holds the database's address."""


class SqlQueryTool(Tool[SqlQueryArguments]):
    name = "sql_query"
    says = "Ask a database with one SELECT statement; gives its rows."
    arguments = SqlQueryArguments
    risk = Risk.READ
    by_author = frozenset({"database"})
    must_fix = frozenset({"database"})
    example_fixed = {"database": "shop"}
    example = {"query": "SELECT name, stock FROM parts WHERE stock < 5"}
    also = ({"query": "SELECT pg_terminate_backend(4711)"},)

    def step(self, given: SqlQueryArguments) -> JsonObject:
        """Without ``write`` the server refuses every change."""
        return {
            "type": "sql",
            "database": given.database,
            "query": given.query,
            "max_rows": 100,
            "max_kib": 64,
        }

    def risk_of(self, given: SqlQueryArguments) -> Risk:
        """The server's word keeps it from changing tables; functions end sessions, write files, reach other servers."""
        return Risk.READ if only_looks(given.query) else Risk.CHANGE
