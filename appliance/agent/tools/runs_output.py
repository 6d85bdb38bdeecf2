"""``runs.output``: all that a step gave, piece by piece."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.agent.errors import QueryRefused
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonValue
from appliance.runs.models import Step
from appliance.runs.services import get_for

PIECE = 5_000
"""Characters of one answer: what a turn is told of a result."""


class RunsOutputArguments(Arguments):
    run: str
    """The run's whole number, as runs.list gives it."""
    step: str
    """The step's id, as runs.show gives it."""
    errors: bool = False
    """What it wrote as errors, in the place of its output."""
    begin: Annotated[int, Field(ge=0)] = 0
    """At which character to begin: the answer says where the next piece does."""


class RunsOutputTool(QueryTool[RunsOutputArguments]):
    name = "runs.output"
    says = "Read the whole output of one step of a run, piece by piece."
    arguments = RunsOutputArguments
    example = {"run": "0199f3a2-7c1e-7d40-8b3f-2f6a1c9e4d55", "step": "shell-1"}

    def answer(self, given: RunsOutputArguments, asking: Asking) -> JsonValue:
        try:
            run_id = UUID(given.run)
        except ValueError as error:
            raise QueryRefused(f"{given.run[:60]!r} is no run's number") from error
        get_for(run_id, asking.by, Ability.VIEW)
        row = Step.objects.filter(run_id=run_id, step=given.step[:100]).order_by("-attempt").first()
        if row is None:
            raise QueryRefused(f"the run has no step {given.step[:60]!r}", hint="runs.show names them")
        text = row.stderr if given.errors else _text(row.output)
        end = given.begin + PIECE
        return {
            "text": text[given.begin : end],
            "characters": len(text),
            "next": end if end < len(text) else None,
        }


def _text(output: JsonValue) -> str:
    return output if isinstance(output, str) else "" if output is None else str(output)
