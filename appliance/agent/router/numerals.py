"""Numbers as people write them: 5, 1.5, five, 五, 二十三, 三点五. Pure."""

import re
from decimal import Decimal

_SMALL_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ENGLISH = dict(zip(_SMALL_WORDS.split(), range(20), strict=True)) | dict(
    zip(_TENS.split(), range(20, 100, 10), strict=True)
)
_MULTIPLIERS = {"hundred": 100, "thousand": 1000}
_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_SMALL = {"十": 10, "百": 100, "千": 1000}
_LARGE = {"万": 10_000, "亿": 100_000_000}
CHINESE = frozenset([*_DIGITS, *_SMALL, *_LARGE])
_WRITTEN = re.compile(r"-?\d+(?:\.\d+)?")


def of_digits(text: str) -> Decimal | None:
    return Decimal(text) if _WRITTEN.fullmatch(text) else None


def of_english(words: list[str]) -> tuple[Decimal, int] | None:
    """The number at the beginning, and how many words it takes: ``twenty five`` is 25."""
    total, current, taken = 0, None, 0
    for word in words:
        if word in _ENGLISH:
            if current is not None and (current % 10 or current == 0 or _ENGLISH[word] >= 10):
                break  # "one two" are two numbers
            current = (current or 0) + _ENGLISH[word]
        elif word in _MULTIPLIERS and current is not None:
            current *= _MULTIPLIERS[word]
            if word == "thousand":
                total, current = total + current, 0
        else:
            break
        taken += 1
    return (Decimal(total + (current or 0)), taken) if taken else None


def of_chinese(text: str) -> Decimal | None:
    """``二十三``, ``一百零五``, ``三点五``, ``二〇二六``; None for what is no number."""
    whole, point, fraction = text.partition("点")
    value = _whole(whole)
    if value is None or (point and not fraction):
        return None
    if point:
        if any(digit not in _DIGITS for digit in fraction):
            return None
        return Decimal(f"{value}.{''.join(str(_DIGITS[digit]) for digit in fraction)}")
    return Decimal(value)


def _whole(text: str) -> int | None:
    if not text or any(character not in CHINESE for character in text):
        return None
    if len(text) > 1 and all(character in _DIGITS for character in text):
        return int("".join(str(_DIGITS[digit]) for digit in text))
    total = section = digit = 0
    for character in text:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in _SMALL:
            section += (digit or 1) * _SMALL[character]
            digit = 0
        else:
            total = (total + section + digit) * _LARGE[character]
            section = digit = 0
    return total + section + digit
