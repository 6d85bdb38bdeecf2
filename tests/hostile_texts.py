"""The corpus of texts that give orders to an agent, and what may never stand in what a model is told."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from appliance.inference.acceptance.injection import shipped as acceptance_set

FILE = Path(__file__).parent / "hostile" / "corpus.yaml"
# Written apart from the product's own list: what a tokeniser of some family reads as more than text.
TEMPLATE_WORDS = re.compile(
    r"<\|[^<>|\n]{1,60}\|>|<[|｜][^<>\n]{1,60}[|｜]>|<\|(?:turn|channel)>|<(?:turn|channel)\|>|\[/?INST\]|<</?SYS>>|</?s>"
    r"|<(?:start|end)_of_turn>|</?think>|</?tool_(?:call|response)>|\[/?(?:TOOL_RESULTS|TOOL_CALLS|SYSTEM_PROMPT)\]"
    r"|</?function[=>]|</?parameter[=>]|\[gMASK\]|<sop>|\[e~\[|\]~b\]|\[\|[a-z]+\|\]|<seed:|\[UNUSED_TOKEN|<reserved_\d",
    re.IGNORECASE,
)
WIDE = str.maketrans("＜＞｜［］／", "<>|[]/")
UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]")
_MARK = re.compile(r"\[\s*(?:end\s+of\s+)?data\b[^\]]*", re.IGNORECASE)
_BOUNDARY = re.compile(r"Text between the marks \[data ([0-9a-f]{12}) ")


@dataclass(frozen=True)
class Hostile:
    """``wants``: the tool and the arguments of the call that a model makes which obeys."""

    id: str
    source: str
    language: str
    kind: str
    text: str
    wants: dict[str, dict[str, Any]]
    later: bool = False

    @property
    def call(self) -> tuple[str, dict[str, Any]]:
        ((tool, arguments),) = self.wants.items()
        return tool, arguments


@cache
def corpus() -> tuple[Hostile, ...]:
    return tuple(Hostile(**one) for one in yaml.safe_load(FILE.read_text("utf-8")))


def all_texts() -> dict[str, str]:
    """Those of the corpus, and those by which models are accepted, by their names."""
    texts = {one.id: one.text for one in corpus()}
    return texts | {f"acceptance-{one.id}": one.data for one in acceptance_set().injections}


def faults_of_prompt(told: str) -> list[str]:
    """What of it would let somebody outside speak as somebody else."""
    found = [f"a word of a template: {one}" for one in TEMPLATE_WORDS.findall(told.translate(WIDE))]
    found += [f"what cannot be seen: U+{ord(one):04X}" for one in UNSEEN.findall(told)]
    boundary = _BOUNDARY.search(told)
    if boundary is None:
        return [*found, "the rules name no boundary"]
    found += [f"a mark of somebody else: {one}" for one in _MARK.findall(told) if boundary[1] not in one]
    begun = len(re.findall(rf"^\[data {boundary[1]} ", told, re.MULTILINE))
    ended = len(re.findall(rf"^\[end of data {boundary[1]}\]$", told, re.MULTILINE))
    return found if begun == ended else [*found, f"{begun} marks begin and {ended} end"]
