"""The switch that forbids real model traffic: where it is set, only what is declared a stand-in is given to anybody."""

from collections.abc import Callable, Set
from dataclasses import dataclass

from appliance.inference.scheduling.ports import Served

SENTENCE = "real models are refused on this box (MILLWRIGHT_MODELS=refused)"
_OF_ONE = "it is a real model (MILLWRIGHT_MODELS=refused), and no stand-in (MILLWRIGHT_STANDIN_MODELS)"


@dataclass(frozen=True, slots=True)
class Barring:
    """``said``: that it is set; ``bar``: of a model why nobody may have it. Both are empty where all may be asked."""

    said: str
    bar: Callable[[Served], str]


def barring(*, refused: bool, standins: Set[str]) -> Barring:
    """``standins``: names of models whose engines only play one."""
    if not refused:
        return Barring("", lambda _: "")
    return Barring(SENTENCE, lambda served: "" if served.manifest.name in standins else _OF_ONE)
