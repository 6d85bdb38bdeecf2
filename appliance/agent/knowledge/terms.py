"""Words to search by: of Latin and other alphabets the words, of Chinese each character and each two together. Pure."""

import re

from appliance.inference.embeddings.normalising import normalised

_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+|[^\W_]+")
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
MOST_WORDS = 32
"""Of one question."""
_COMMON = """
a an and are as at be by do does for from how i in is it of on or that the this to was what when where which who why
with you 的 了 是 在 和 吗 呢 我 你 怎么 什么 如何
"""
_TOO_COMMON = frozenset(_COMMON.split())


def indexed(text: str) -> str:
    """The words of a text, with blanks between."""
    return " ".join(word for run in _RUN.findall(normalised(text)) for word in _of_run(run))


def asked(question: str) -> list[str]:
    """The words of a question, each once. Common ones only where there are no others."""
    found: list[str] = []
    for run in _RUN.findall(normalised(question[:1_000])):
        found += _pairs(run) if _CHINESE.match(run) and len(run) > 1 else [run]
    words = list(dict.fromkeys(found))
    telling = [one for one in words if one not in _TOO_COMMON]
    return (telling or words)[:MOST_WORDS]


def is_chinese(word: str) -> bool:
    return _CHINESE.match(word) is not None


def _of_run(run: str) -> list[str]:
    return [*run, *_pairs(run)] if _CHINESE.match(run) else [run]


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)]
