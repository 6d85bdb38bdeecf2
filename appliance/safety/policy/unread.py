"""What stands for the reading of commands where nothing better is wired."""

from appliance.lib.jsontypes import JsonMapping
from appliance.safety.policy.vocabulary import CommandClass


def unknown_command(kind: str, arguments: JsonMapping) -> tuple[CommandClass, tuple[str, ...]]:
    """Nothing is known of any command; rules that name a class see ``unknown``."""
    return CommandClass.UNKNOWN, ()
