"""What every step that asks a model is told of it: one base for their fields."""

from typing import Annotated

from pydantic import Field, field_validator

from appliance.actions.contract import Params
from appliance.expressions.fields import MessageField, TextField
from appliance.inference.domain import Work
from appliance.lib.located.fields import refuse


class ModelParams(Params):
    system: MessageField | None = None
    """What the model is to be and to keep to."""
    model: TextField | None = None
    """One by name, as `qwen3-8b`; without it the selection matrix chooses by `work`."""
    work: Work = Work.CHAT
    """The kind of work: `chat`, `code`, `logs`, `classification`, `extraction` or `anomaly`."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.2
    """0: the same answer each time, as far as the engine can."""

    @field_validator("work")
    @classmethod
    def _text(cls, value: Work) -> Work:
        if value is Work.EMBEDDINGS:
            raise refuse("a step asks for text, not for vectors")
        return value
