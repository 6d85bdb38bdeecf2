"""Random policies and actions over a small vocabulary, so that they meet."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from appliance.accounts.domain import Role
from appliance.safety.commands.domain import CommandClass
from appliance.safety.policy.decision import LayerPolicy, Policy
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.model import PolicyFile, Rule
from appliance.safety.policy.vocabulary import Answer, Day, Layer, Origin

KINDS = ("mqtt", "shell", "http")
LEVELS = ("a", "b")
NAMES = ("ana", "bob", "a")
globs = st.sampled_from(("a", "b", "ab", "a*", "*b", "?", "*"))
words = st.sampled_from(("a", "b", "ab"))
topics = st.lists(st.sampled_from(LEVELS), min_size=1, max_size=2).map("/".join)
filters = st.lists(st.sampled_from((*LEVELS, "+")), min_size=1, max_size=2).flatmap(
    lambda levels: st.sampled_from(("/".join(levels), "/".join([*levels, "#"]), "#"))
)
clocks = st.sampled_from(("00:00", "06:00", "07:30", "18:00", "23:59"))


def _listed(element: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[Any]:
    return st.lists(element, min_size=1, max_size=most)


times = st.fixed_dictionaries(
    {"days": _listed(st.sampled_from(list(Day)), 4), "from": clocks},
    optional={
        "to": st.sampled_from(("05:00", "12:00", "24:00")),
        "zone": st.sampled_from(("UTC", "Europe/Paris")),
    },
)
conditions: dict[str, st.SearchStrategy[Any]] = {
    "kinds": _listed(st.one_of(st.sampled_from(KINDS), st.sampled_from(("*", "s*", "?ttp")))),
    "command": st.one_of(
        st.fixed_dictionaries({"class": _listed(st.sampled_from(list(CommandClass)))}),
        st.fixed_dictionaries({"program": _listed(globs)}),
        st.fixed_dictionaries(
            {"class": _listed(st.sampled_from(list(CommandClass))), "program": _listed(globs)}
        ),
    ),
    "arguments": st.dictionaries(
        st.sampled_from(("x", "x.y", "url")), _listed(globs), min_size=1, max_size=2
    ),
    "topic": _listed(filters),
    "device": _listed(globs),
    "secret": _listed(globs),
    "task": _listed(globs),
    "principal": _listed(st.one_of(globs, st.just("user:*"), st.just("user:ana"))),
    "role": st.sampled_from(list(Role)),
    "origin": _listed(st.sampled_from(list(Origin))),
    "time": times,
}


@st.composite
def rules(draw: st.DrawFn, number: int = 0) -> Rule:
    """One rule with one or two conditions, most often on what is looked up by its exact text."""
    often = (*sorted(conditions), *("arguments", "device", "topic") * 4)
    keys = draw(st.sets(st.sampled_from(often), min_size=1, max_size=2))
    decide = draw(st.sampled_from(list(Answer)))
    said: dict[str, Any] = {"id": f"r{number}", "decide": decide}
    if decide is Answer.ASK:
        said |= {"approvers": draw(st.sampled_from(list(Role))), "expires": draw(st.sampled_from((5, 60)))}
    return Rule.model_validate(said | {key: draw(conditions[key]) for key in sorted(keys)})


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Rule, Rule]:
    """An earlier rule, and a later one that often says the same and something more."""
    earlier, later = draw(rules(1)), draw(rules(2))
    if draw(st.integers(0, 3)):
        shared = earlier.model_dump(by_alias=True, exclude_defaults=True)
        more = later.model_dump(by_alias=True, exclude_defaults=True)
        alike = {key: value for key, value in shared.items() if key in conditions}
        later = Rule.model_validate({**more, **alike})
    return earlier, later


@st.composite
def layers(draw: st.DrawFn, layer: Layer = Layer.BOX) -> LayerPolicy:
    count = draw(st.integers(0, 8))
    default = draw(st.sampled_from(list(Answer)))
    return LayerPolicy(
        PolicyFile.model_validate(
            {
                "policy": 1,
                "name": "drawn",
                "layer": layer,
                "default": {"agent": draw(st.sampled_from(list(Answer))), "otherwise": default},
                "rules": [draw(rules(number)) for number in range(count)],
            }
        ),
        1,
    )


def policies() -> st.SearchStrategy[Policy]:
    return st.tuples(layers(Layer.BOX), layers(Layer.SITE)).map(Policy)


@st.composite
def actions(draw: st.DrawFn) -> tuple[Static, Facts]:
    kind = draw(st.sampled_from(KINDS))
    value = st.one_of(words, st.lists(words, max_size=3))
    arguments: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {"topic": topics, "device": words, "x": st.one_of(value, st.fixed_dictionaries({"y": value}))},
            optional={"url": value, "secrets": st.lists(words, max_size=3)},
        )
    )
    principal = draw(st.one_of(words, st.sampled_from(NAMES).map(lambda name: f"user:{name}")))
    own, *also = draw(st.lists(st.sampled_from(list(Origin)), min_size=1, max_size=3))
    static = Static(kind, own, draw(words), principal, tuple(also))
    known = draw(st.tuples(st.sampled_from(list(CommandClass)), st.lists(words, max_size=2).map(tuple)))
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=30 * draw(st.integers(0, 48 * 14)))
    role = draw(st.sampled_from(list(Role)))
    return static, Facts(kind, arguments, role, at, lambda kind, arguments: known)
