"""Values never enter the text of a shell command: each ``{{ }}`` becomes a positional parameter.

Where the parameter goes depends on the quotes around it; wherever that is not certain the text is refused.
"""

from appliance.expressions.compiled import Compiled
from appliance.expressions.errors import ExpressionError
from appliance.expressions.reading import Block, blocks_of
from appliance.expressions.run import Scope, StateReader
from appliance.expressions.shell_programs import check_commands
from appliance.expressions.shell_quotes import scan
from appliance.expressions.template import Template, compile_template
from appliance.expressions.values import to_text
from appliance.lib.said import say

LONGEST_ARGUMENT = 128 * 1024 - 1
"""Bytes of one argument that Linux takes (MAX_ARG_STRLEN, without the NUL)."""

_PLACED = {"": '"{}"', '"': "{}", "'": "'\"{}\"'"}
"""How a parameter is written, by the quote around it."""


class ShellTemplate(Compiled):
    """``script`` is for ``/bin/sh -c script mw value…``; ``parameters`` are the templates of the values."""

    __slots__ = ("_starts", "parameters", "script")

    def __init__(
        self, source: str, script: str, parameters: tuple[Template, ...], starts: tuple[int, ...]
    ) -> None:
        self.source = source
        self.script = script
        self.parameters = parameters
        self._starts = starts
        self.names = frozenset[str]().union(*(parameter.names for parameter in parameters))
        self.guarded = frozenset[str]().union(*(parameter.guarded for parameter in parameters)) - self.names

    def render(self, scope: Scope, *, state: StateReader | None = None) -> tuple[str, list[str]]:
        """The script, and the values that follow ``mw`` on its command line. Raises ExpressionError."""
        values = []
        for parameter, start in zip(self.parameters, self._starts, strict=True):
            try:
                value = to_text(parameter.render(scope, state=state))
            except ExpressionError as error:
                error.offset = max(error.offset, 0) + start
                raise
            values.append(_argument(value, start))
        return self.script, values

    def offset_of(self, name: str) -> int:
        """Where ``name`` is used first, as an index into ``source``."""
        for parameter, start in zip(self.parameters, self._starts, strict=True):
            if name in parameter.places:
                return start + parameter.places[name]
        return self._starts[0] if self._starts else 0


def _argument(value: str, start: int) -> str:
    """What the kernel would refuse, or cut at a NUL, is refused here."""
    if "\x00" in value:
        raise ExpressionError(say("the argument of a command cannot hold a NUL character"), start)
    size = len(value.encode(errors="surrogatepass"))
    if size > LONGEST_ARGUMENT:
        raise ExpressionError(
            say(
                "the argument of a command has at most %(longest_argument)s bytes, this has %(size)s",
                longest_argument=LONGEST_ARGUMENT,
                size=size,
            ),
            start,
            hint=say("write |truncate(…), or let the command read it from a file"),
        )
    return value


def compile_shell(text: str) -> ShellTemplate:
    """Compile a command text. Raises ExpressionError at a place where a value would not be safe."""
    if "\x00" in text:
        raise ExpressionError(say("a command cannot hold a NUL character"), text.index("\x00"))
    blocks = blocks_of(text, tags=False)
    if not blocks:
        return ShellTemplate(text, text, (), ())
    parameters = tuple(_parameter(block, text) for block in blocks)
    found = scan(text, blocks)
    check_commands(found.commands)
    parts, at = [], 0
    for number, (block, quote) in enumerate(zip(blocks, found.quotes, strict=True), 1):
        parts += [text[at : block.start], _PLACED[quote].format(f"${{{number}}}")]
        at = block.end
    return ShellTemplate(text, "".join([*parts, text[at:]]), parameters, tuple(b.start for b in blocks))


def _parameter(block: Block, text: str) -> Template:
    if block.trims_before or block.trims_after:
        raise ExpressionError(say("a command has no white-space control: write {{ and }}"), block.start)
    try:
        return compile_template(text[block.start : block.end])
    except ExpressionError as error:
        error.offset = max(error.offset, 0) + block.start
        raise
