"""Agents that are crashed: what their model says, what they did outside of the box, and what must be true of it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.processes.bench.player import Part
from appliance.processes.bench.stage import Stage, end, turn
from tests.acceptance.box import House
from tests.acceptance.crashes.checks import FINAL
from tests.wait import wait_for

POLICY = "policy: 1\nname: crashes\nlayer: box\ndefault: allow\n"
TASKS = """
- name: a_act
  trigger: {{mqtt: {{topic: "a/act", payload: json}}}}
  actions:
    - id: think
      type: agent
      goal: "Case {{{{ payload.seq }}}}."
      model: played
      tools: [readings.last, mqtt, {{notify: {{platform: loopback}}}}, {{shell: {{writes: [{folder}]}}}}]
      mode: act
      trust: [mqtt, notify, shell]
- name: a_ask
  trigger: {{mqtt: {{topic: "a/ask", payload: json}}}}
  actions:
    - id: think
      type: agent
      goal: "Case {{{{ payload.seq }}}}."
      model: played
      tools: [mqtt, {{notify: {{platform: loopback}}}}]
"""
TURNS = {"a_act": 4, "a_ask": 2}
_INSIDE = """
SELECT r.id, r.state, r.waiting_for, (p.inputs -> 'payload' ->> 'seq')::int AS seq, p.state AS whole
FROM runs_run p JOIN tasks_task t ON t.id = p.task_id LEFT JOIN runs_run r ON r.parent_run_id = p.id
WHERE t.name = %s AND p.split_id IS NULL AND (p.inputs -> 'payload' ->> 'seq')::int = ANY(%s)
"""
_STEPS = """
SELECT s.run_id, s.step, s.kind, s.effect, s.state, s.epoch FROM runs_step s JOIN runs_run r ON r.id = s.run_id
WHERE r.parent_run_id IS NOT NULL AND s.run_id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Agents:
    house: House
    stage: Stage
    folder: Path

    def load(self) -> None:
        file = self.house.box.home.parent / "agents-policy.yaml"
        file.write_text(POLICY)
        file.chmod(0o644)
        self.house.box.manage("policy", "apply", str(file))
        self.house.load(TASKS.format(folder=self.folder), "agents")

    def play(self, task: str, seq: int) -> None:
        """The model reads, then changes three things in two turns, then answers."""
        say = {"seq": seq, "run": f"agent-{seq}", "step": 1}
        tell: tuple[str, Any] = ("notify", {"message": f"case {seq}"})
        publish: tuple[str, Any] = ("mqtt", {"topic": "crash/out", "payload": str(say).replace("'", '"')})
        note: tuple[str, Any] = ("shell", {"command": f"echo {seq} $$ >> {self.folder}/agents"})
        lines = {
            "a_act": [turn(("readings.last", {"topic": "crash/"})), turn(publish, note), turn(tell)],
            "a_ask": [turn(publish, tell)],
        }[task]
        self.stage.play(Part(f"Case {seq}.", [*lines, end(changed=True)], pause=0.02))

    def inside(self, task: str, wanted: set[int]) -> list[dict[str, Any]]:
        """The agents' own runs; without an ``id`` where there is none yet."""
        return self.house.sql(_INSIDE, task, list(wanted))

    def settled(self, task: str, wanted: set[int]) -> bool:
        rows = self.inside(task, wanted)
        return {row["seq"] for row in rows} == wanted and all(
            row["whole"] in FINAL or row["waiting_for"] == "ambiguous" for row in rows
        )

    def wait_until_settled(self, task: str, wanted: set[int], seconds: float) -> list[dict[str, Any]]:
        try:
            wait_for(lambda: self.settled(task, wanted), seconds)
        except AssertionError as late:
            raise AssertionError(f"lost or stuck: {self.inside(task, wanted)}") from late
        return self.inside(task, wanted)

    def steps(self, task: str, wanted: set[int]) -> list[dict[str, Any]]:
        seqs = {row["id"]: row["seq"] for row in self.inside(task, wanted) if row["id"]}
        rows = self.house.sql(_STEPS, list(seqs))
        return [{**row, "seq": seqs[row["run_id"]]} for row in rows]

    def asked(self, wanted: set[int]) -> Counter[tuple[int, int]]:
        """How often each turn of each case was asked."""
        words = {f"Case {seq}.": seq for seq in wanted}
        return Counter((words[one.word], one.turn) for one in self.stage.asked() if one.word in words)

    def noted(self) -> Counter[int]:
        """How often the unsafe command of each case ran, as it wrote down itself."""
        try:
            text = (self.folder / "agents").read_text()
        except FileNotFoundError:
            return Counter()
        return Counter(int(line.split()[0]) for line in text.splitlines())


@dataclass(frozen=True, slots=True)
class Before:
    """What was on record at one moment, and what had been asked and done by then."""

    steps: dict[tuple[int, str], int]
    asked: Counter[tuple[int, int]]
    noted: Counter[int]

    def of(self, wanted: set[int]) -> "Before":
        """Of these cases alone."""
        return Before(
            {key: epoch for key, epoch in self.steps.items() if key[0] in wanted},
            Counter({key: number for key, number in self.asked.items() if key[0] in wanted}),
            self.noted,
        )


def before(agents: Agents, task: str, wanted: set[int]) -> Before:
    """Rows first: what is on record by now is neither asked nor done again."""
    done = ("succeeded", "skipped", "handed_over")
    steps = {
        (row["seq"], row["step"]): row["epoch"] for row in agents.steps(task, wanted) if row["state"] in done
    }
    return Before(steps, agents.asked(wanted), agents.noted())


def check(agents: Agents, task: str, wanted: set[int], then: Before, *, twice: bool = False) -> None:
    """No turn on record is asked again, no step on record done again, no unsafe effect twice, and nothing is lost.

    ``twice``: the broker may have sent an event again that had a run already; then each run is judged by itself as far
    as what is outside of the box tells them apart.
    """
    house, runs = agents.house, agents.inside(task, wanted)
    times = Counter(row["seq"] for row in runs)
    assert set(times) == wanted, "a run is lost"
    assert twice or max(times.values()) == 1, "an event has two runs"
    wanted = {seq for seq in wanted if times[seq] == 1}
    assert all(agents.noted()[seq] <= number for seq, number in times.items()), "an unsafe effect too often"
    runs = [row for row in runs if row["seq"] in wanted]
    then = then.of(wanted)
    now = {(row["seq"], row["step"]): row for row in agents.steps(task, wanted)}
    assert {key: now[key]["epoch"] for key in then.steps} == then.steps, "a step on record was written again"
    asked = agents.asked(wanted)
    known = [key for key in then.steps if key[1].startswith("turn-")]
    again = [
        key for key in known
        if asked[turn_key := (key[0], int(key[1].removeprefix("turn-")))] > then.asked[turn_key]
    ]  # fmt: skip
    assert again == [], "a turn on record was asked again"
    assert all(times <= 2 for times in asked.values()), f"one crash, and a turn asked three times: {asked}"
    noted = agents.noted()
    assert all(noted[seq] <= 1 for seq in wanted), "an unsafe effect happened twice"
    for row in runs:
        if row["waiting_for"] == "ambiguous":
            unclear = [
                one for one in now.values() if one["seq"] == row["seq"] and one["state"] == "ambiguous"
            ]
            assert [one["effect"] for one in unclear] == ["unsafe"], "what may be repeated needs nobody"
        else:
            assert row["whole"] == "succeeded", f"case {row['seq']} ended as {row['whole']}"
            if task == "a_act":
                assert noted[row["seq"]] == 1
            assert {key[1] for key in now if key[0] == row["seq"]} >= {"turn-1", "answer"}
    messages = house.sql(
        "SELECT run_id, count(*) AS n FROM bridges_message WHERE run_id = ANY(%s) GROUP BY run_id",
        [row["id"] for row in runs if row["id"]],
    )
    assert [row for row in messages if row["n"] != 1] == [], "a message came twice"
