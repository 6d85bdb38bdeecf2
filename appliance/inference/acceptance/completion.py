"""A real completion: it ends, keeps to its length, says something, and nothing that only its template may say."""

import re

from appliance.inference.acceptance.domain import Bound, Check, Result, Subject, Unit, is_text
from appliance.inference.acceptance.engine import Said
from appliance.inference.control_tokens import without_control_tokens
from appliance.lib.said import say

NAME = "completion"
TOKENS = 48
_QUESTIONS = (
    ("Say in one sentence what a millwright does.", TOKENS),
    ("用一句话说明设备维修工的工作。", TOKENS),
    ("Count from one to twenty.", 1),
)
_THINKING = re.compile(r"</?think>")
"""What a reasoning model puts around its thoughts is no word of its template to those who talk to it."""


async def run(subject: Subject) -> Result:
    answers = [
        (await subject.engine.say([("user", text)], max_tokens=most), most) for text, most in _QUESTIONS
    ]
    faults = dict.fromkeys(fault for said, most in answers for fault in _faults(said, most))
    first = answers[0][0]
    good = say(
        "%(tokens)d tokens in %(seconds).1f s, ended by %(finish)s",
        tokens=first.generated,
        seconds=first.seconds,
        finish=first.finish,
    )
    return Result(NAME, len(faults), 0, Bound.AT_MOST, Unit.FAULTS, "; ".join(faults) if faults else good)


def _faults(said: Said, most: int) -> list[str]:
    found: list[str] = []
    if said.flooded:
        return [say("it says much more than it is asked for, and was cut off")]
    if said.finish not in ("stop", "length"):
        found.append(say("its answer has no proper end"))
    if said.generated > most:
        found.append(
            say("it was asked for %(most)d tokens, and gave %(given)d", most=most, given=said.generated)
        )
    if not (said.text.strip() or said.thought.strip()) and most > 1:
        found.append(say("its answer is empty"))
    text = _THINKING.sub("", said.text)
    if without_control_tokens(text) != text:
        found.append(say("words of its template stand in its answer, such as <|im_end|>"))
    return found


CHECK = Check(NAME, is_text, run)
