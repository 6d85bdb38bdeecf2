"""A script as ``sh`` will read it, before values are filled in: made once per text, evaluated per run."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Text:
    """Literal characters. ``quoted``: none of them is special."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """``$name``. ``plain`` is False for ``${name:-…}`` and its kin, whose value is not followed."""

    name: str
    quoted: bool
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Substitution:
    """The output of a command, or the result of a calculation: never known."""

    quoted: bool


@dataclass(frozen=True, slots=True)
class Tilde:
    """Somebody's home folder."""


Part = Text | Parameter | Substitution | Tilde


@dataclass(frozen=True, slots=True)
class Pattern:
    """One word as it is written: ``inner`` are the scripts of substitutions in it, which run first."""

    parts: tuple[Part, ...]
    inner: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """``operator`` is one of ``< > >> >| <>``; duplications of streams are left out."""

    operator: str
    target: Pattern


@dataclass(frozen=True, slots=True)
class Simple:
    """One simple command."""

    assignments: tuple[tuple[str, Pattern], ...]
    words: tuple[Pattern, ...]
    redirects: tuple[Redirect, ...] = ()
    here: bool = False
    """Whether a here-document is its input."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A part that is not understood: ``reason`` says why and where."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands one after another; ``then[i]`` is the operator after ``nodes[i]``.

    ``straight``: each runs exactly once in this shell, so that what one assigns is what the next one sees.
    """

    nodes: tuple["Node", ...]
    then: tuple[str, ...]
    straight: bool = True
    assigned: frozenset[str] = field(default=frozenset())
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """``for name in words``: the body is looked at once per word."""

    name: str
    words: tuple[Pattern, ...]
    body: "Node"
    assigned: frozenset[str]


@dataclass(frozen=True, slots=True)
class Calculation:
    """``$(( … ))`` with a name in it: bash takes the name's value for a calculation again, and runs what is in it.

    ``reason`` says so and where, for a script that bash reads.
    """

    reason: str


Node = Simple | Refused | Sequence | Loop | Calculation
