"""A sentence as words, numbers and marks of this box: topics, numbers of runs, codes. Pure."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from appliance.agent.router.traditional import simplified
from appliance.inference.embeddings.normalising import normalised

LONGEST_TEXT = 300
"""Characters: what is longer is no command, and goes to no router."""
_CJK = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PIECES = re.compile(
    rf"""(?P<slot>\{{[a-z]+\}})
    | (?P<topic>[^\s,;!?，。？！；：、"'()（）{_CJK}]+/[^\s,;!?，。？！；：、"'()（）{_CJK}]+)
    | (?P<run>(?<![\w-])[0-9a-f]{{8}}(?:(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})?(?![\w-]))
    | (?P<code>(?<![\w-])(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{{6}}(?![\w-]))
    | (?P<number>(?<!\w)-?\d+(?:\.\d+)?|\d+(?:\.\d+)?)
    | (?P<word>°c|%|[{_CJK}]|(?:(?![{_CJK}])[^\W\d_])+(?:'[a-z]+)?)""",
    re.VERBOSE,
)
_NO_TOPICS = frozenset({"on/off", "and/or", "km/h", "m/s", "yes/no", "open/close", "start/stop", "w/o"})


class Kind(StrEnum):
    WORD = "word"
    NUMBER = "number"
    TOPIC = "topic"
    RUN = "run"
    CODE = "code"
    SLOT = "slot"
    """``{task}``, in a known sentence: any name of that type."""


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    kind: Kind
    start: int
    """In the normalised text."""


def tokens_of(text: str, topics: Collection[str] = ()) -> tuple[str, tuple[Token, ...]]:
    """The normalised text and its tokens. A topic is one of ``topics``, or has two slashes; it keeps its capitals."""
    normal = simplified(normalised(text))
    spelled = {found[0].lower(): found[0] for found in _spelled(text)}
    tokens: list[Token] = []
    place = 0
    while found := _PIECES.search(normal, place):
        kind, piece, place = Kind(str(found.lastgroup)), found[0], found.end()
        if kind is Kind.TOPIC:
            piece = piece.rstrip(".:/")
            topic = spelled.get(piece, piece)
            if not (topic in topics or _looks_like_topic(piece)):
                kind, piece = Kind.WORD, piece.partition("/")[0]
                tokens.extend(_words(piece, found.start()))
                place = found.start() + len(piece) + 1
                continue
            tokens.append(Token(topic, kind, found.start()))
            continue
        tokens.append(Token(piece, kind, found.start()))
    return normal, tuple(tokens)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a name or of a phrase: ``restart_pump-3`` and ``Restart pump 3`` are the same."""
    return tuple(token.text for token in tokens_of(text)[1])


def _words(piece: str, start: int) -> list[Token]:
    return [
        Token(found[0], Kind(str(found.lastgroup)), start + found.start())
        for found in _PIECES.finditer(piece)
    ]


def _looks_like_topic(piece: str) -> bool:
    levels = piece.split("/")
    return len(levels) > 2 and all(levels) and "://" not in piece and piece not in _NO_TOPICS


def _spelled(text: str) -> list[re.Match[str]]:
    """Where a topic may stand, as it was written."""
    given = unicodedata.normalize("NFKC", text)
    return list(re.finditer(rf"[^\s,;!?\"'(){_CJK}]+/[^\s,;!?\"'(){_CJK}]*[^\s,;!?\"'(){_CJK}.:/]", given))
