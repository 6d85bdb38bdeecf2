"""What is told of a quantised model: sizes, speeds, and how often it says the same."""

from dataclasses import dataclass

from appliance.inference.quantise.quantising import Quantised
from appliance.inference.quantise.trial import ENOUGH, Trial
from appliance.lib.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class Report:
    """``untried``: why there are no figures of its work."""

    made: Quantised
    trial: Trial | None
    untried: str = ""

    def as_json(self) -> JsonObject:
        made, trial = self.made, self.trial
        found: JsonObject = {
            "input": str(made.source),
            "output": str(made.file),
            "type": made.recipe.value,
            "before": {"bytes": made.before, "type": made.facts.quantisation},
            "after": {"bytes": made.after, "type": made.recipe.value},
            "tensors": {**made.kinds},
            "untried": self.untried,
        }
        if trial is not None:
            found |= {
                "agreement": round(trial.agreement, 4),
                "compared": trial.compared,
                "enough": trial.is_enough,
                "tokens_per_second": {
                    "before": round(trial.speed_before, 1),
                    "after": round(trial.speed_after, 1),
                },
            }
        return found

    def as_lines(self) -> list[str]:
        made, trial = self.made, self.trial
        rows = [("", "before", "after", ""), ("type", made.facts.quantisation, made.recipe.value, "")]
        rows.append(("size", _size(made.before), _size(made.after), f"{made.after / made.before:.0%}"))
        if trial is not None:
            faster = f"{trial.speed_after / trial.speed_before:.2f} times" if trial.speed_before else ""
            rows.append(("tokens/s", f"{trial.speed_before:.1f}", f"{trial.speed_after:.1f}", faster))
            rows.append(
                ("same next token", "", f"{trial.agreement:.1%}", f"{trial.same} of {trial.compared}")
            )
        lines = [f"{name:<16} {old:>12} {new:>12}   {more}".rstrip() for name, old, new, more in rows]
        if trial is not None and not trial.is_enough:
            lines.append(
                f"BELOW {ENOUGH:.0%}: this model often says something else than before. "
                "Try more bits, or your own prompts, before it is used."
            )
        if self.untried:
            lines.append(f"Not tried: {self.untried}")
        lines.append(f"It lies in {made.file}.")
        return lines


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"
