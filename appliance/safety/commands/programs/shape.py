"""What a check of one program is."""

from collections.abc import Callable, Sequence

from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import CommandClass, Judgement, Word

Check = Callable[[str, Sequence[Word], Around], Judgement]
"""Takes the program's name, its arguments and what is around it. Raises Problem."""


def reads(name: str, says: str, *, repeatable: bool = True) -> Judgement:
    return Judgement(CommandClass.READ, f"`{name}` {says}", repeatable)


def changes(name: str, says: str) -> Judgement:
    return Judgement(CommandClass.CHANGE, f"`{name}` {says}", False)


def destroys(name: str, says: str) -> Judgement:
    return Judgement(CommandClass.DESTROY, f"`{name}` {says}", False)
