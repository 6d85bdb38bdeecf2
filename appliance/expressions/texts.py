"""A whole text: what stands between the blocks, ``{{ }}``, and in messages ``{% if %}`` and ``{% for %}``."""

import re
from dataclasses import dataclass, field
from typing import Any

from appliance.expressions.compiler import Compiler
from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import DEEPEST_BLOCKS, LONGEST_TEXT, MOST_ROUNDS
from appliance.expressions.operators import joined
from appliance.expressions.parsing import parse_expression
from appliance.expressions.reading import Block
from appliance.expressions.run import Compute, Run
from appliance.expressions.values import too_long, truth, type_name
from appliance.lib.said import say

_TAG = re.compile(r"\s*(\w+)\s*(.*)", re.DOTALL)
_LOOP = re.compile(r"([^\W\d]\w*)(?:\s*,\s*([^\W\d]\w*))?\s+in\b", re.DOTALL)
_RESERVED = frozenset(
    {"loop", "true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is"}
)
_HINT = say("messages know if, elif, else, endif, for and endfor")


@dataclass(slots=True)
class _Open:
    """A block that waits for its end: its place, the branches so far, and the parts of the newest."""

    tag: str
    at: int
    parts: list[Compute]
    branches: list[tuple[Compute, Compute]] = field(default_factory=list)
    test: Compute | None = None
    names: tuple[str, ...] = ()
    size_before: int = 0


def compile_text(compiler: Compiler, text: str, blocks: list[Block]) -> Compute:
    """The text as one computation. Raises ExpressionError."""
    builder = _Builder(compiler)
    at = 0
    for index, block in enumerate(blocks):
        builder.literal(_between(text, blocks[index - 1] if index else None, block, at))
        if block.kind == "{{":
            builder.expression(block)
        else:
            builder.tag(block)
        at = block.end
    builder.literal(_between(text, blocks[-1], None, at))
    return builder.finish()


def _between(text: str, before: Block | None, after: Block | None, at: int) -> str:
    found = text[at : after.start if after else len(text)]
    if before and before.trims_after:
        found = found.lstrip()
    return found.rstrip() if after and after.trims_before else found


class _Builder:
    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._open = [_Open("", 0, [])]

    def literal(self, text: str) -> None:
        if text:
            self._open[-1].parts.append(lambda run: text)

    def expression(self, block: Block) -> None:
        self._open[-1].parts.append(self._compiler.value(parse_expression(block.code, block.at)))

    def tag(self, block: Block) -> None:
        found = _TAG.fullmatch(block.code)
        if found is None:
            raise ExpressionError(say("the tag has no name"), block.start, hint=_HINT)
        tag, rest, at = found[1], found[2].rstrip(), block.at + found.start(2)
        if tag == "if":
            self._begin(_Open("if", block.start, []))
            self._open[-1].test = self._value(rest, at)
        elif tag == "for":
            self._begin(self._loop(block, rest, at))
        elif tag in ("elif", "else", "endif", "endfor"):
            if tag != "elif" and rest:
                raise ExpressionError(say("nothing stands after %(tag)s", tag=tag), at)
            self._continue(tag, block, rest, at)
        else:
            hint = say("write {{ '{{' }} for the braces themselves") if tag == "raw" else _HINT
            raise ExpressionError(
                say("{%% %(tag)s %%} is not part of the language", tag=tag[:40]), block.start, hint=hint
            )

    def finish(self) -> Compute:
        last = self._open[-1]
        if last.tag:
            raise ExpressionError(
                say("{%% %(tag)s %%} is not closed by {%% end%(tag)s %%}", tag=last.tag), last.at
            )
        return joined(last.parts, 0)

    def _value(self, code: str, at: int, *, conditional: bool = True) -> Compute:
        return self._compiler.value(parse_expression(code, at, conditional=conditional))

    def _begin(self, opened: _Open) -> None:
        if len(self._open) > DEEPEST_BLOCKS:
            raise ExpressionError(
                say("more than %(deepest_blocks)s blocks inside one another", deepest_blocks=DEEPEST_BLOCKS),
                opened.at,
            )
        self._open.append(opened)

    def _loop(self, block: Block, rest: str, at: int) -> _Open:
        found = _LOOP.match(rest)
        if found is None:
            raise ExpressionError(say("write {% for item in list %}"), at)
        names = tuple(name for name in found.groups() if name)
        wrong = next((name for name in names if name in _RESERVED), None)
        if wrong:
            raise ExpressionError(say("%(wrong)s cannot be the name of an item", wrong=wrong), at)
        opened = _Open("for", block.start, [], names=names)
        opened.test = self._value(rest[found.end() :], at + found.end(), conditional=False)
        self._compiler.bound += [*names, "loop"]
        opened.size_before = self._compiler.size
        return opened

    def _continue(self, tag: str, block: Block, rest: str, at: int) -> None:
        opened = self._open[-1]
        wanted = "for" if tag == "endfor" else "if"
        if opened.tag != wanted or (opened.test is None and tag != "endif"):
            raise ExpressionError(
                say("{%% %(tag)s %%} has no {%% %(wanted)s %%} before it", tag=tag, wanted=wanted),
                block.start,
            )
        body = joined(opened.parts, opened.at)
        if tag == "endfor":
            assert opened.test is not None
            del self._compiler.bound[-len(opened.names) - 1 :]
            size = self._compiler.size - opened.size_before + len(opened.parts)
            whole = _for(opened.test, opened.names, body, opened.at, size)
        else:
            if opened.test is not None:
                opened.branches.append((opened.test, body))
                otherwise: Compute = lambda run: ""  # noqa: E731 - a value, as the others
            else:
                otherwise = body
            if tag != "endif":
                opened.parts, opened.test = [], self._value(rest, at) if tag == "elif" else None
                return
            whole = _if(opened.branches, otherwise)
        self._open.pop()
        self._open[-1].parts.append(whole)


def _if(branches: list[tuple[Compute, Compute]], otherwise: Compute) -> Compute:
    def choose(run: Run) -> Any:
        for test, text in branches:
            if truth(test(run)):
                return text(run)
        return otherwise(run)

    return choose


def _for(members: Compute, names: tuple[str, ...], body: Compute, at: int, size: int) -> Compute:
    """Each round costs as many steps as its body has operations."""

    def repeat(run: Run) -> str:
        items, before, total, texts = _items(members(run), at), run.locals, 0, []
        try:
            for index, item in enumerate(items):
                run.spend(1 + size)
                run.locals = {**before, **_bind(names, item, at), "loop": _loop_of(index, len(items))}
                texts.append(body(run))
                total += len(texts[-1])
                if total > LONGEST_TEXT:
                    raise too_long()
        except ExpressionError as error:
            error.locate(at)
            raise
        finally:
            run.locals = before
        return "".join(texts)

    return repeat


def _items(items: Any, at: int) -> list[Any]:
    if not isinstance(items, list):
        hint = say("write mapping|items or mapping|keys") if isinstance(items, dict) else None
        raise ExpressionError(
            say("{%% for %%} goes over a list, not %(kind)s", kind=type_name(items)), at, hint=hint
        )
    if len(items) > MOST_ROUNDS:
        raise ExpressionError(
            say(
                "{%% for %%} goes over at most %(most_rounds)s items, not %(count)s",
                most_rounds=MOST_ROUNDS,
                count=len(items),
            ),
            at,
            hint=say("write list[:%(most_rounds)s]", most_rounds=MOST_ROUNDS),
        )
    return items


def _bind(names: tuple[str, ...], item: Any, at: int) -> dict[str, Any]:
    if len(names) == 1:
        return {names[0]: item}
    if not isinstance(item, list) or len(item) != len(names):
        raise ExpressionError(
            say("each item must be a list of %(count)s, as mapping|items gives", count=len(names)), at
        )
    return dict(zip(names, item, strict=True))


def _loop_of(index: int, count: int) -> dict[str, Any]:
    last = index == count - 1
    return {"index": index + 1, "index0": index, "first": index == 0, "last": last, "length": count}
