"""``manage.py distil``: a small student for the router, from what a larger model says."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.agent.router import loading
from appliance.agent.router.distilling import Measured, distil
from appliance.agent.router.knowledge import Knowledge, build
from appliance.agent.router.labelling import Labelled, labels_in, labels_of
from appliance.agent.router.model import ModelInterpreter
from appliance.agent.router.student import FOLDER, save
from appliance.inference.client import KeeperClient
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError

TASKS = 20
"""Names of tasks that stand in the sentences."""


class Command(BaseCommand):
    help = "Train a small student for the router; it is taken at 90 % agreement and 8 times the speed, both measured."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--labels", type=Path, help="JSON lines with text, intent and ms, instead of asking a model"
        )
        parser.add_argument("--model", default="", help="the teacher; default: as the selection matrix says")
        parser.add_argument("--output", type=Path, help="folder of the student; default: the box's own")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            knowledge = build(loading.load())
            student, measured = distil(self._labels(knowledge, options))
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        for line in _report(measured, "as the file says" if options["labels"] else "measured now"):
            self.stdout.write(line)
        if measured.objection:
            raise CommandError(f"the student is not taken: {measured.objection}")
        path = save(student, options["output"] or get_config().home.data / FOLDER)
        self.stdout.write(f"the student is taken: {path}; the reactor reads it at its next start")

    def _labels(self, knowledge: Knowledge, options: dict[str, Any]) -> list[Labelled]:
        if options["labels"] is not None:
            return labels_in(options["labels"], knowledge)
        client = KeeperClient(get_config().home.keeper_socket)
        names = [task.name for task in knowledge.world.tasks[:TASKS]]
        said = self.stdout.write if options["verbosity"] > 1 else lambda line: None
        return labels_of(ModelInterpreter(client, model=options["model"]), knowledge, names, said)


def _report(measured: Measured, source: str) -> list[str]:
    teacher = f"{measured.teacher_ms:.1f} ms ({source})" if measured.teacher_ms is not None else "not known"
    speed = f"{measured.speed:.1f} times as fast" if measured.speed is not None else "no comparison"
    known = f"teacher right in {measured.teacher} of the box's own sentences" if measured.teacher.of else ""
    lines = [
        f"learnt from {measured.learnt} sentences in {measured.seconds:.1f} s",
        f"agreement on held-out sentences: {measured.all}",
        f"  English {measured.english}",
        f"  Chinese {measured.chinese}" if measured.chinese.of else "  Chinese: not measured",
        f"  where it is sure enough to propose: {measured.sure}",
        known,
        f"teacher {teacher}, student {measured.student_ms:.3f} ms: {speed}",
    ]
    return [line for line in lines if line]
