"""``knowledge.search``: what the plant's own runbooks say."""

from typing import Annotated

from pydantic import Field

from appliance.agent.knowledge.services import search
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonValue


class KnowledgeSearchArguments(Arguments):
    question: Annotated[str, Field(min_length=1, max_length=300)]
    """What to look for, in a few words, in the language of the runbooks."""
    most: Annotated[int, Field(ge=1, le=10)] = 4
    """How many passages."""


class KnowledgeSearchTool(QueryTool[KnowledgeSearchArguments]):
    name = "knowledge.search"
    of_files = True
    says = "Search this box's runbooks; gives passages with file, heading and score."
    arguments = KnowledgeSearchArguments
    example = {"question": "pump too hot after restart"}

    def answer(self, given: KnowledgeSearchArguments, asking: Asking) -> JsonValue:
        return [
            {
                "file": one.file,
                "heading": one.heading,
                "line": one.line,
                "score": one.score,
                "text": one.text,
            }
            for one in search(given.question, asking.by, most=given.most)
        ]
