"""One sentence on its way to a proposal, in fixed order: exact, confirmed, rules, nearest, other voices, model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

from appliance.agent.router.agreement import Agreement, Verdict, closed
from appliance.agent.router.domain import Effect, How, Look, Meaning, Proposal, Routed, SlotType
from appliance.agent.router.grammar import by_rules
from appliance.agent.router.interpreting import Asked, Interpreter
from appliance.agent.router.knowledge import Entry, Knowledge, as_example, spelled
from appliance.agent.router.lexicon import Name
from appliance.agent.router.reading import Reading
from appliance.lib.errors import MillwrightError

NEAREST = 12
"""Known sentences that are looked at."""
ENOUGH = 0.5
"""Cosine below which nothing is taken. It only saves work: no height of it makes a proposal right."""
WORTH_ASKING = 0.3
CLOSE = 0.05
"""Two different meanings that are so near to each other are both offered."""
ALTERNATIVES = 3
SURE_TO_ACT = frozenset({How.EXACT})
_KNOWN = frozenset({How.EXACT, How.EXAMPLE, How.RULES})
"""Steps that find what somebody has written down, and nothing that is only like it."""


class Proposer(Protocol):
    """One more source of proposals, such as a student or a served encoder."""

    def propose(self, reading: Reading) -> Iterable[Proposal]: ...


@dataclass(frozen=True, slots=True)
class Beside:
    """Who is heard where the box's own knowledge does not agree."""

    proposers: tuple[Proposer, ...] = ()
    interpreter: Interpreter | None = None


class Way:
    """One sentence on its way; keeps what was looked at."""

    def __init__(
        self, known: Knowledge, beside: Beside, reading: Reading, text: str, sees: Callable[[Name], bool]
    ) -> None:
        self._known = known
        self._beside = beside
        self._reading = reading
        self._text = text
        self._sees = sees
        self._looks = [Look("read", reading.core or "nothing")]
        self._possible: dict[object, tuple[Meaning, float]] = {}
        self._ruled_out: set[object] = set()
        self._took: list[tuple[str, float]] = []
        self._torn = False

    def go(self) -> Routed:
        for step in (self._exact, self._example, self._rules, self._nearest, self._others, self._model):
            began = perf_counter()
            found = step()
            self._took.append((step.__name__.strip("_"), perf_counter() - began))
            if found is not None:
                return replace(found, took=tuple(self._took))
        return Routed(
            self._text,
            alternatives=self._alternatives(),
            looks=tuple(self._looks),
            open=not closed(self._reading),
            torn=self._torn,
            took=tuple(self._took),
        )

    def _exact(self) -> Routed | None:
        keys = (self._reading.masked, spelled(self._reading))
        entries = [self._known.entries[place] for key in keys for place in self._known.exact.get(key, ())]
        found = [
            (Proposal(one.meaning, How.EXACT, 1.0), one) for one in entries if self._is_seen(one.meaning)
        ]
        return self._only(How.EXACT, found)

    def _example(self) -> Routed | None:
        known = self._known.confirmed.get(as_example(self._text), ())
        meanings = [one for one in known if self._is_seen(one)]
        if len(meanings) > 1:
            self._looks.append(Look("example", "people have said different things about it"))
            self._possible |= {one.key: (one, 1.0) for one in meanings}
            alternatives = self._alternatives()
            return Routed(self._text, alternatives=alternatives, looks=tuple(self._looks), torn=True)
        proposals = [
            (Proposal(one, How.EXAMPLE, 1.0, self._reading.text), self._like(one)) for one in meanings
        ]
        return self._only(How.EXAMPLE, proposals)

    def _like(self, meaning: Meaning) -> Entry | None:
        text = as_example(self._text)
        return next(
            (
                one
                for one in self._known.entries
                if one.how is How.EXAMPLE and one.meaning.key == meaning.key and as_example(one.text) == text
            ),
            None,
        )

    def _rules(self) -> Routed | None:
        found: list[tuple[Proposal, Entry | None]] = [
            (one, None) for one in by_rules(self._reading, self._known.intents.values())
        ]
        return self._only(How.RULES, found)

    def _nearest(self) -> Routed | None:
        own = self._known.own.nearest(self._reading.core, NEAREST, WORTH_ASKING)
        others = self._known.others.nearest(self._reading.bare, NEAREST, WORTH_ASKING)
        found = [*own, *((place + len(self._known.own), score) for place, score in others)]
        agreed: dict[object, tuple[Proposal, Verdict]] = {}
        for place, score in sorted(found, key=lambda one: -one[1])[:NEAREST]:
            entry = self._known.entries[place]
            if not self._is_seen(entry.meaning):
                continue
            proposal = Proposal(entry.meaning, How.NEAREST, min(score, 1.0), entry.text)
            verdict = self._judge(proposal, entry)
            if verdict.agreed and score >= ENOUGH:
                agreed.setdefault(Meaning(entry.meaning.intent, verdict.slots).key, (proposal, verdict))
        return self._best(list(agreed.values()))

    def _best(self, agreed: list[tuple[Proposal, Verdict]]) -> Routed | None:
        if not agreed:
            return None
        (first, verdict), others = agreed[0], agreed[1:]
        if any(one.confidence > first.confidence - CLOSE for one, _ in others):
            self._looks.append(Look("nearest", "two meanings are as near as each other"))
            return None
        return self._routed(first, verdict)

    def _others(self) -> Routed | None:
        if closed(self._reading):
            return None
        found = [
            (proposal, None)
            for proposer in self._beside.proposers
            for proposal in proposer.propose(self._reading)
        ]
        return self._only(How.STUDENT, [one for one in found if self._is_seen(one[0].meaning)])

    def _model(self) -> Routed | None:
        interpreter = self._beside.interpreter
        if interpreter is None:
            self._looks.append(Look("model", "none is asked"))
            return None
        why = closed(self._reading)
        if why:
            self._looks.append(Look("model", f"not asked: {why}"))
            return None
        tasks = list(dict.fromkeys(self._named_tasks()))
        try:
            meaning = interpreter.interpret(
                Asked(self._reading.text, list(self._known.intents.values()), tasks)
            )
        except MillwrightError as error:
            self._looks.append(Look("model", str(error)))
            return None
        if meaning is None:
            self._looks.append(Look("model", "it means none of them"))
            return None
        task = meaning.slots.get("task")
        if task is not None and task not in tasks:
            self._looks.append(Look("model", f"the sentence does not name {task}"))
            return None
        return self._only(How.MODEL, [(Proposal(meaning, How.MODEL, 0.5), None)])

    def _named_tasks(self) -> Iterator[str]:
        """Among which a model may choose: what it is said to be like has no opposites that could be compared."""
        for names in self._reading.names:
            yield from (name.value for name in names if name.type is SlotType.TASK)

    def _only(self, how: How, proposals: Sequence[tuple[Proposal, Entry | None]]) -> Routed | None:
        """The one that agrees; None where there is none, or more than one."""
        judged = [(proposal, self._judge(proposal, entry)) for proposal, entry in proposals]
        agreed = {
            Meaning(proposal.meaning.intent, verdict.slots).key: (proposal, verdict)
            for proposal, verdict in judged
            if verdict.agreed
        }
        if not proposals:
            self._looks.append(Look(how, "nothing"))
        if len(agreed) != 1:
            self._torn = self._torn or (bool(agreed) and how in _KNOWN)
            return None
        ((proposal, verdict),) = agreed.values()
        return self._routed(proposal, verdict)

    def _judge(self, proposal: Proposal, entry: Entry | None) -> Verdict:
        verdict = Agreement(self._known, self._reading, proposal.meaning, entry, proposal.how).verdict()
        meaning = Meaning(proposal.meaning.intent, verdict.slots)
        like = f" (like: {proposal.like})" if proposal.like else ""
        self._looks.append(
            Look(proposal.how, f"{_said(meaning)} {proposal.confidence:.2f}{like}: {verdict.said}")
        )
        if verdict.against:
            self._ruled_out.add(meaning.key)
        elif meaning.key not in self._possible:
            self._possible[meaning.key] = (meaning, proposal.confidence)
        return verdict

    def _routed(self, proposal: Proposal, verdict: Verdict) -> Routed:
        intent = self._known.intents[proposal.meaning.intent]
        return Routed(
            self._text,
            intent=intent,
            slots=verdict.slots,
            how=proposal.how,
            confidence=proposal.confidence,
            agreed=True,
            asks=intent.effect is Effect.CHANGE and proposal.how not in SURE_TO_ACT,
            alternatives=tuple(one for one in self._alternatives() if one.intent != intent.id),
            looks=tuple(self._looks),
        )

    def _alternatives(self) -> tuple[Meaning, ...]:
        """What it may have meant, and could be done as it stands. What one check spoke against is not offered."""
        able = [
            (meaning, score)
            for key, (meaning, score) in self._possible.items()
            if key not in self._ruled_out and self._is_whole(meaning)
        ]
        best = sorted(able, key=lambda one: -one[1])[:ALTERNATIVES]
        return tuple(meaning for meaning, _ in best)

    def _is_whole(self, meaning: Meaning) -> bool:
        slots = self._known.intents[meaning.intent].slots
        return all(slot.name in meaning.slots for slot in slots if slot.required)

    def _is_seen(self, meaning: Meaning) -> bool:
        task = meaning.slots.get("task")
        return task is None or self._sees(Name(SlotType.TASK, task))


def _said(meaning: Meaning) -> str:
    slots = ", ".join(f"{name}={value}" for name, value in meaning.slots.items())
    return f"{meaning.intent}({slots})" if slots else meaning.intent
