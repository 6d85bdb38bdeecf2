"""``manage.py explain``: what the agents of a run did and why, turn after turn; and take it back."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.agent.explaining import as_json
from appliance.agent.explaining.changed import changed_in
from appliance.agent.explaining.domain import AgentView, TurnView
from appliance.agent.explaining.marks import plain_pieces
from appliance.agent.explaining.said import call_line, plan_lines, state_said
from appliance.agent.explaining.services import agents, explain
from appliance.agent.undoing import undo
from appliance.lib.errors import MillwrightError
from appliance.runs.naming import run_named
from appliance.safety.read_only import refuse_changes


class Command(BaseCommand):
    help = "Show what the agents of a run did: turn after turn, or one turn with all that was sent and came back."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "run", help="its number, or the eight characters at the end by which messages name it"
        )
        parser.add_argument("--step", default="", help="the agent's step, where the run has several")
        parser.add_argument("--turn", type=int, metavar="N", help="one turn, with its transcript")
        parser.add_argument(
            "--undo", action="store_true", help="take back what it did, in that turn or in all"
        )
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._handle(options)
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _handle(self, options: dict[str, Any]) -> None:
        options["run"] = run_named(options["run"])
        if options["undo"]:
            refuse_changes(CONSOLE)
        found = [one for one in agents(options["run"], CONSOLE) if options["step"] in ("", one.step)]
        if not found:
            raise CommandError(f"run {options['run']} has no such agent")
        if options["undo"]:
            steps = undo(found[-1].run_id, CONSOLE, options["turn"])
            self.stdout.write(f"to be taken back: {', '.join(steps)}")
        elif options["turn"] is not None:
            self._turn(found[-1], options["turn"], bare=options["as_json"])
        elif options["as_json"]:
            self.stdout.write(json.dumps([as_json.agent(one) for one in found]))
        else:
            for agent in found:
                self._agent(agent)

    def _agent(self, agent: AgentView) -> None:
        cost = agent.cost
        self.stdout.write(f"{agent.step}: {state_said(agent)}")
        self.stdout.write(f"goal: {agent.asked.goal}")
        self.stdout.write(
            f"mode {agent.asked.mode.value}; {cost.steps} of {cost.of_steps} steps, {cost.tokens} of {cost.of_tokens}"
            f" tokens, {cost.seconds:.1f} of {cost.of_seconds:g} s"
        )
        for turn in agent.turns:
            self._of_turn(turn)
        if agent.answer is not None:
            self.stdout.write(f"answer: {agent.answer.text or agent.answer.error}")
            self.stdout.write(changed_in(agent.answer.read_back))

    def _of_turn(self, turn: TurnView) -> None:
        self.stdout.write(f"turn {turn.number} ({turn.state}, {turn.tokens} tokens): {turn.say}")
        if turn.malformed:
            self.stdout.write(f"  its answer could not be read: {turn.malformed}")
        for line in (*plan_lines(turn), *map(call_line, turn.calls)):
            self.stdout.write(f"  {line}")
        for failure in dict.fromkeys(turn.failures):
            self.stdout.write(f"  failed: {failure}")

    def _turn(self, agent: AgentView, number: int, *, bare: bool) -> None:
        found = explain(agent.run_id, agent.step, number, CONSOLE)
        if bare:
            self.stdout.write(json.dumps(as_json.explained(found)))
            return
        turn = found.turn
        self._of_turn(turn)
        self.stdout.write(f"model {turn.model} {turn.digest}, {turn.seconds:.1f} s; {turn.chosen_because}")
        self.stdout.write(f"\n--- sent (digest {turn.sent_digest}); lines with a bar come from outside")
        self.stdout.write("\n".join(plain_pieces(found.sent)))
        self.stdout.write(f"\n--- came back (digest {turn.came_digest})")
        self.stdout.write(found.came)
