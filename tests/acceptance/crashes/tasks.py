"""The tasks that are crashed, and the notebook in which their commands leave what they did."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_SAY = '{seq: "{{ payload.seq }}", run: "{{ run.id }}"'
_WRITE = '\'echo "$1 $2 $$" >> "$3"; echo $$\''

TASKS = """
- name: m_reflex
  trigger: {{mqtt: {{topic: "m/reflex", payload: json}}}}
  actions:
    - {{id: one, type: mqtt, topic: crash/out, payload: {say}, step: 1}}}}
    - {{id: two, type: mqtt, topic: crash/out, payload: {say}, step: 2}}}}
- name: m_idempotent
  triggers:
    - {{id: m, mqtt: {{topic: "m/idempotent", payload: json}}}}
    - {{id: hook, webhook: {{name: crash, auth: bearer, secret: crash}}}}
  actions:
    - {{id: one, effect: idempotent, {write_one}}}
    - {{id: two, effect: idempotent, {write_two}}}
- name: m_unsafe
  trigger: {{mqtt: {{topic: "m/unsafe", payload: json}}}}
  actions:
    - {{id: one, effect: unsafe, {write_one}}}
    - {{id: two, effect: unsafe, {write_two}}}
- name: m_tell
  trigger: {{mqtt: {{topic: "m/tell", payload: json}}}}
  actions:
    - {{id: one, effect: idempotent, {write_one}}}
    - {{id: tell, type: notification, platform: loopback, message: "seq {{{{ payload.seq }}}}"}}
- name: m_wait
  trigger: {{mqtt: {{topic: "m/wait", payload: json}}}}
  actions:
    - {{id: one, effect: unsafe, {write_one}}}
    - {{id: pause, type: wait, duration: 2s}}
    - {{id: two, effect: unsafe, {write_two}}}
- name: m_ask
  trigger: {{mqtt: {{topic: "m/ask", payload: json}}}}
  actions:
    - {{id: sure, type: approval, question: "Go on with {{{{ payload.seq }}}}?"}}
    - {{id: one, effect: unsafe, {write_one}}}
    - {{id: two, effect: unsafe, {write_two}}}
- name: clockwork
  triggers: [{{id: tick, every: 2s}}]
  actions: [{{id: one, effect: unsafe, {write_one}}}]
"""


def tasks_writing_to(folder: Path) -> str:
    """The definitions; each command appends run, step and its own process number to the notebook."""

    def write(step: str) -> str:
        return (
            f"type: shell, writes: [{folder}], "
            f'args: [/bin/sh, -c, {_WRITE}, mw, "{{{{ run.id }}}}", {step}, {folder}/done]'
        )

    return TASKS.format(say=_SAY, write_one=write("one"), write_two=write("two"))


@dataclass(frozen=True, slots=True)
class Notebook:
    """What the commands really did, written by themselves outside of the box."""

    folder: Path

    def lines(self) -> list[tuple[str, str, str]]:
        """Run, step and process number of each time that a command ran, in order."""
        try:
            text = (self.folder / "done").read_text()
        except FileNotFoundError:
            return []
        return [(run, step, pid) for run, step, pid in (line.split() for line in text.splitlines())]

    def times(self) -> Counter[tuple[str, str]]:
        """How often each step of each run was done."""
        return Counter((run, step) for run, step, _ in self.lines())
