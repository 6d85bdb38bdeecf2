"""``notes.propose``: something to remember, for a person to accept or not."""

from typing import Annotated, Literal

from pydantic import Field

from appliance.agent.conversations.domain import LONGEST_NOTE
from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject


class NotesProposeArguments(Arguments):
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE)]
    """One sentence that will still be true and of use later."""
    scope: Literal["person", "room", "box"] = "person"
    """Whom it is about."""


class NotesProposeTool(Tool[NotesProposeArguments]):
    """It reads: until a person has accepted it, nobody is told of it."""

    name = "notes.propose"
    says = "Propose to remember something for later conversations. A person accepts it or not."
    arguments = NotesProposeArguments
    risk = Risk.READ
    example = {"text": "Pump 3 was rebuilt in May 2026."}

    def step(self, given: NotesProposeArguments) -> JsonObject:
        return {"type": "agent_note", **given.model_dump(mode="json")}
