"""The box's own intents, as ``data/intents.yaml`` says them."""

from functools import cache

from pydantic import BaseModel, ConfigDict

from appliance.agent.router.domain import Effect, Intent, Slot, SlotType
from appliance.agent.router.lexicon import load_data


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Slot(_Form):
    name: str
    type: SlotType
    required: bool = True
    unit: str = ""


class _Intent(_Form):
    id: str
    effect: Effect
    exemplars: str
    """Parted by `;`."""
    command: str = ""
    poles: list[str] = []
    slots: list[_Slot] = []
    patterns: list[str] = []
    words: list[str] = []


@cache
def own_intents() -> tuple[Intent, ...]:
    forms = [_Intent.model_validate(one) for one in load_data("intents.yaml")]
    return tuple(
        Intent(
            id=form.id,
            effect=form.effect,
            slots=tuple(Slot(one.name, one.type, one.required, one.unit) for one in form.slots),
            exemplars=tuple(" ".join(one.split()) for one in form.exemplars.split(";") if one.strip()),
            command=form.command,
            poles=frozenset(form.poles),
            patterns=tuple(form.patterns),
            words=frozenset(form.words),
        )
        for form in forms
    )
