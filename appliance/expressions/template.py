"""Templates: texts with expressions in them, compiled once and rendered many times."""

from appliance.expressions import calls, operators, paths
from appliance.expressions.compiled import Compiled
from appliance.expressions.compiler import Compiler, Rules
from appliance.expressions.errors import ExpressionError
from appliance.expressions.parsing import parse_expression
from appliance.expressions.reading import Block, blocks_of
from appliance.expressions.run import Compute, Run, Scope, StateReader
from appliance.expressions.texts import compile_text
from appliance.lib.jsontypes import JsonValue
from appliance.lib.said import say

_RULES: Rules = {**paths.RULES, **operators.RULES, **calls.RULES}


class Template(Compiled):
    """A compiled text; safe to share between threads.

    ``is_value``: the text is one ``{{ }}``, and rendering yields the value itself. ``is_literal``: there is
    nothing to compute. ``places``: where each name is used first, as an index into ``source``.
    """

    __slots__ = ("_compute", "_start", "is_literal", "is_value", "places")

    def __init__(
        self, source: str, compute: Compute, compiler: Compiler, start: int, *, is_value: bool
    ) -> None:
        self.source = source
        self._compute = compute
        self._start = start
        self.names = frozenset(compiler.needed)
        self.guarded = frozenset(compiler.guarded.keys() - compiler.needed.keys())
        self.places = {**compiler.guarded, **compiler.needed}
        self.is_value = is_value
        self.is_literal = start < 0

    def render(self, scope: Scope, *, state: StateReader | None = None) -> JsonValue:
        """The value over these names; it may share lists and mappings with ``scope``.

        Raises ExpressionError; what ``state`` raises passes through.
        """
        return self.compute(Run(scope, state))

    def compute(self, run: Run) -> JsonValue:
        """As ``render``, as a part of a larger rendering."""
        try:
            value: JsonValue = self._compute(run)
        except ExpressionError as error:
            error.locate(self._start)
            raise
        except RecursionError:
            raise ExpressionError(say("nested too deeply"), self._start) from None
        return value

    def offset_of(self, name: str) -> int:
        """Where ``name`` is used first, as an index into ``source``; the first expression where it is not."""
        return self.places.get(name, max(self._start, 0))

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, Template) and other.is_value == self.is_value

    def __hash__(self) -> int:
        return hash(self.source)


def compile_template(text: str, *, blocks: bool = False, as_text: bool = False) -> Template:
    """Compile a text. Raises ExpressionError.

    ``blocks`` allows ``{% if %}`` and ``{% for %}``; ``as_text`` yields text even for a single ``{{ }}``.
    """
    found, compiler = blocks_of(text), Compiler(_RULES)
    if not found:
        return Template(text, lambda run: text, compiler, -1, is_value=False)
    tag = next((block for block in found if block.kind == "{%"), None)
    if tag is not None and not blocks:
        raise ExpressionError(say("{% %} is allowed in message texts only"), tag.start)
    is_value = not as_text and len(found) == 1 and _is_whole(text, found[0])
    try:
        compute = _value(compiler, found[0]) if is_value else compile_text(compiler, text, found)
    except RecursionError:
        raise ExpressionError(say("nested too deeply"), found[0].start) from None
    return Template(text, compute, compiler, found[0].start, is_value=is_value)


def _is_whole(text: str, block: Block) -> bool:
    """Whether there is nothing but blanks around the block."""
    around = text[: block.start] + text[block.end :]
    return block.kind == "{{" and (not around or around.isspace())


def _value(compiler: Compiler, block: Block) -> Compute:
    return compiler.value(parse_expression(block.code, block.at))


def compile_condition(text: str) -> Template:
    """A text that is one ``{{ }}``; ``truth`` of what it renders decides. Raises ExpressionError."""
    template = compile_template(text)
    if not template.is_value:
        shown = text.strip()[:60] if template.is_literal and text.strip() else "payload.value > 80"
        raise ExpressionError(
            say("a condition is one expression"), 0, hint=say("write {{ %(shown)s }}", shown=shown)
        )
    return template
