"""Passes the gate, and commits the intent of what acts before it acts (P3)."""

from dataclasses import replace
from datetime import datetime

from psycopg import Rollback

from appliance.actions.contract import ActionRefused, EffectClass, TargetAway
from appliance.audit.services import AuditEntry, append_async
from appliance.lib.clock import Clock, Moment
from appliance.lib.jsontypes import JsonObject
from appliance.runs import approving, sql
from appliance.runs.at_once import Payment
from appliance.runs.effects import acts
from appliance.runs.intents import asking_of, intent_of, record_of, refusal_of
from appliance.runs.kept_back import flush
from appliance.runs.ledger import Ledger
from appliance.runs.lending import lent
from appliance.runs.plan import Next
from appliance.runs.plant import PlantAnswers
from appliance.runs.rows import StepWrite
from appliance.runs.walk import Walk
from appliance.safety.budgets import services as budgets
from appliance.safety.gate import Action, Decision, Gate, Look, Verdict, of_over
from appliance.safety.policy.vocabulary import OwnAgent
from appliance.tasks.definition import StepSpec


class Passage:
    """What is written is written under the run's lease. All raise LeaseLost."""

    def __init__(self, ledger: Ledger, gate: Gate, clock: Clock) -> None:
        self._ledger = ledger
        self._gate = gate
        self._plant = PlantAnswers(ledger, gate, clock)
        self._clock = clock

    async def intend(
        self, walk: Walk, following: Next, now: datetime, effect: EffectClass, arguments: JsonObject
    ) -> Verdict:
        """Pass the gate; for a step that acts commit the intent and its audit record first (P3).

        Decided on what was seen last, and written only where that is still so: a stop engaged, or a policy applied,
        a moment ago counts. Where the gate asks, ``ask`` goes on with the states that the approval depends on.
        """
        action = walk.action(
            following.spec, following.spec.type, effect, arguments, acts=acts(following.spec)
        )
        look, fresh = walk.look or self._gate.seen(action, walk.row.stop), False
        refused: Verdict | None = None
        while True:
            if look is None:
                look, fresh = await self._look(action), True
            verdict = refused or self._gate.decide(await self._plant.answered(action), look.stop, look.role)
            writes: list[StepWrite] = [*walk.pending]
            entries: list[AuditEntry] = []
            acting = action.acts and verdict.outcome is Decision.ALLOW
            relaxed = acting and effect is not EffectClass.UNSAFE and not self._ledger.acts_after_disk
            # A model that is asked again may call something else: what it called before stays on record.
            relaxed = relaxed and following.spec.proposed is None
            if acting:
                writes.append(intent_of(following, now, effect, arguments, verdict))
                entries.append(record_of(action, verdict, following.attempt, now))
            elif verdict.outcome is Decision.DENY:
                entries.append(refusal_of(action, verdict, following.attempt, now))
            charges = verdict.charges if verdict.outcome is Decision.ALLOW else ()
            something = bool(writes or entries or charges)
            written = fresh and not something
            asked = Moment.of(self._clock)
            if something:
                payment = Payment(charges, self._clock.now())
                wrote = await self._ledger.write(
                    walk.lease, action, look, writes, entries, payment, relaxed=relaxed
                )
                walk.some_away = wrote.some_away
                if wrote.over:
                    refused = of_over(verdict, wrote.over)
                    continue
                written = wrote.done
            if written:
                walk.costs[following.spec.id] = verdict.charges
                walk.look = look
                walk.pending.clear()
                if something:
                    walk.proven = asked
                    proof = (following.spec.id, following.attempt) if relaxed else None
                    walk.lease = replace(walk.lease, proof=proof)
                walk.decided[following.spec.id] = verdict.rule
                return verdict
            look, refused = None, None

    async def ask(
        self,
        walk: Walk,
        following: Next,
        now: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        states: JsonObject,
    ) -> Verdict:
        """Look at the step's approvals: it may pass with one, be refused, or wait (until ``walk.asked_until``).

        The gate is asked once more, in the transaction that commits what follows. ``intend`` has written what was
        kept back.
        """
        walk.some_away = True  # what is asked for has time to look
        while True:
            verdict = await self._ask(walk, following, now, effect, arguments, states)
            if verdict is not None:
                walk.decided[following.spec.id] = verdict.rule
                return verdict

    async def _ask(
        self,
        walk: Walk,
        following: Next,
        now: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        states: JsonObject,
    ) -> Verdict | None:
        """None, and nothing is written, where a stop or a policy was committed in between.

        Looked at again when all is written: each of them goes on the audit record before its commit, whose head is
        held here by then. What acts is on record too, so none can slip in between that and this commit.
        """
        action = walk.action(
            following.spec, following.spec.type, effect, arguments, acts=acts(following.spec)
        )
        async with self._ledger.transaction() as connection:
            await connection.execute(sql.LOCK_RUN, {"id": walk.row.id})
            look = await self._gate.look(connection, action)
            answered = await self._plant.answered(action, connection)
            verdict = self._gate.decide(answered, look.stop, look.role)
            records: tuple[AuditEntry, ...] = ()
            charges = verdict.charges
            if verdict.outcome is Decision.ASK and (over := await budgets.look(connection, charges, now)):
                verdict = of_over(verdict, over)
            if verdict.outcome is Decision.ASK:
                wish = approving.wish_of(walk, following, action, verdict, states)
                unattended = walk.definition.is_unattended(walk.row.trigger)
                plan = following.spec.proposed
                answer = await approving.by_plan(connection, wish, verdict, now, plan) or (
                    await approving.settle(connection, wish, verdict, now, unattended=unattended)
                )
                verdict, records, walk.asked_until = answer.verdict, answer.records, answer.until
            if verdict.outcome is Decision.ALLOW:
                over = await budgets.charge(connection, charges, now, walk.row.id)
                verdict = of_over(verdict, over) if over else verdict
                walk.costs[following.spec.id] = charges
            writes: list[StepWrite] = []
            if verdict.outcome is Decision.ASK:
                writes = [asking_of(following, now, effect, arguments)]
            elif verdict.outcome is Decision.ALLOW and action.acts:
                writes = [intent_of(following, now, effect, arguments, verdict)]
                records = (*records, record_of(action, verdict, following.attempt, now))
            elif verdict.outcome is Decision.DENY:
                records = (*records, refusal_of(action, verdict, following.attempt, now))
            await flush(walk, connection, self._clock, writes, records)
            if await self._gate.look(connection, action) != look:
                raise Rollback
            return verdict
        return None

    def stopped(
        self, walk: Walk, spec: StepSpec, effect: EffectClass, arguments: JsonObject
    ) -> Verdict | None:
        """What holds this step now, though it was let through: the intent's statement decided on what it saw when it
        began, and waited for the head of the audit record, which a stop may have held."""
        return self._gate.stopped_by_file(walk.action(spec, spec.type, effect, arguments, acts=acts(spec)))

    async def _look(self, action: Action) -> Look:
        async with lent(self._ledger.pool) as connection:
            return await self._gate.look(connection, action)

    @property
    def own_agent(self) -> OwnAgent:
        """Whether who asked an agent may decide on what it proposes, by the policy in force."""
        return self._gate.own_agent

    async def would(self, walk: Walk, spec: StepSpec, effect: EffectClass, arguments: JsonObject) -> Verdict:
        """What the gate says of a step that will not be performed. Nothing is written."""
        action = walk.action(spec, spec.type, effect, arguments, acts=acts(spec))
        look = await self._look(action)
        return self._gate.decide(await self._plant.answered(action), look.stop, look.role)

    async def permit(
        self, walk: Walk, spec: StepSpec, kind: str, effect: EffectClass, arguments: JsonObject
    ) -> None:
        """Pass the gate for what a step does beside its own kind. Raises ActionRefused, TargetAway while held.

        Nobody can be asked about it: an approval is for the step itself. ``effect`` is the engine's word here.
        """
        action = walk.action(spec, kind, effect, arguments, acts=effect is not EffectClass.PURE)
        async with self._ledger.transaction() as connection:
            look = await self._gate.look(connection, action)
            answered = await self._plant.answered(action, connection)
            verdict = self._gate.decide(answered, look.stop, look.role)
            if verdict.outcome is Decision.ALLOW and action.acts:
                over = await budgets.charge(connection, verdict.charges, self._clock.now(), walk.row.id)
                verdict = of_over(verdict, over) if over else verdict
            if verdict.outcome in (Decision.DENY, Decision.ASK):
                await append_async(connection, [refusal_of(action, verdict, 1, self._clock.now())])
        if verdict.outcome is Decision.HOLD:
            raise TargetAway(verdict.reason)
        if verdict.outcome is Decision.ASK:
            raise ActionRefused(
                f"refused: what {spec.type} reads cannot be asked about: {verdict.reason}",
                hint=f"ask with a step of type {kind}, and give its output as items",
            )
        if verdict.outcome is Decision.DENY:
            raise ActionRefused(f"refused: {verdict.reason}")
