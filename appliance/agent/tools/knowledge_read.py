"""``knowledge.read``: one section of a runbook, whole."""

from typing import Annotated

from pydantic import Field

from appliance.agent.knowledge.services import section
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonValue

PIECE = 5_000
"""Characters of one answer."""


class KnowledgeReadArguments(Arguments):
    file: str
    """The file, as knowledge.search gives it."""
    heading: str = ""
    """The section's heading; empty for the first one."""
    begin: Annotated[int, Field(ge=0)] = 0
    """At which character to begin: the answer says where the next piece does."""


class KnowledgeReadTool(QueryTool[KnowledgeReadArguments]):
    name = "knowledge.read"
    of_files = True
    says = "Read one section of a runbook."
    arguments = KnowledgeReadArguments
    example = {"file": "pumps.md", "heading": "Restart"}

    def answer(self, given: KnowledgeReadArguments, asking: Asking) -> JsonValue:
        found = section(given.file, given.heading, asking.by)
        end = given.begin + PIECE
        return {
            "file": given.file,
            "heading": found.heading,
            "line": found.line,
            "text": found.text[given.begin : end],
            "next": end if end < len(found.text) else None,
        }
