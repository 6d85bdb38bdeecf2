"""Conditions of a policy file that no action can meet, told from the kinds that it names."""

from collections.abc import Iterator, Sequence

from appliance.lib.glob import Glob
from appliance.lib.located.issues import Issue
from appliance.lib.located.problems import Path
from appliance.safety.commands.domain import SCRIPTED
from appliance.safety.policy.model import PolicyFile, Rule
from appliance.safety.policy.selection import Selection

HAVE = {"topic": frozenset({"mqtt"}), "command": frozenset(SCRIPTED)}
"""Keys that only actions of these kinds have."""
_WHAT = {"topic": "topic that the policy could look at", "command": "command"}


def never_met(file: PolicyFile) -> Iterator[tuple[Path, Issue]]:
    """Each such condition, with its place in the file."""
    sections: dict[str, Sequence[Rule | Selection]] = {
        "rules": file.rules,
        "plant": file.plant,
        "budgets": file.budgets,
    }
    for section, rules in sections.items():
        for place, rule in enumerate(rules):
            for key, issue in _of(rule):
                yield (section, place, key), issue


def _of(rule: Rule | Selection) -> Iterator[tuple[str, Issue]]:
    named = [key for key in HAVE if getattr(rule, key, None)]
    if len(named) > 1:
        said = "no action has a topic and a command: this can never match"
        yield named[0], Issue((), said, hint="write two rules, one for each", at_key=True)
        return
    for key in named:
        if rule.kinds is None or any(Glob(one).matches(kind) for one in rule.kinds for kind in HAVE[key]):
            continue
        able = " or ".join(sorted(HAVE[key]))
        said = f"{', '.join(rule.kinds)} never has a {_WHAT[key]}: this can never match"
        hint = f"remove {key}, or name {able} among the kinds"
        yield key, Issue((), said, expected=f"kinds with {able}", hint=hint, at_key=True)
