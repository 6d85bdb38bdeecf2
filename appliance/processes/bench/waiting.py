"""Steps that wait: 100 HTTP steps at once against the same steps one after another."""

import asyncio
import threading
import time
from pathlib import Path

import psycopg

from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row

STEPS, ONE_AFTER_ANOTHER, ANSWER_AFTER = 100, 5, 0.5
TASK = """
- name: bench_waiting
  triggers: [{id: m, mqtt: {topic: "bench/waiting/+", payload: text}}]
  actions: [{type: http, url: "http://127.0.0.1:PORT/", allow_private: true}]
"""
_ENDED = """
SELECT count(*) FILTER (WHERE r.state = 'succeeded'), count(*) FILTER (WHERE r.state = 'failed') FROM runs_run r
JOIN tasks_task t ON t.id = r.task_id WHERE t.name = 'bench_waiting'
"""


class SlowServer:
    """Answers each request half a second after it has come, as many at once as there are."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait(10)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(ANSWER_AFTER)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()


def waiting(box: Box) -> list[Row]:
    """The brief claims 1.4x for coroutines; the bar is 10x."""
    server = SlowServer()
    file = Path(box.home.parent) / "bench-waiting.yaml"
    file.write_text(TASK.replace("PORT", str(server.port)))
    file.chmod(0o644)
    box.manage("tasks", "apply", str(file))
    time.sleep(2)
    single = sum(_seconds(box, 1) for _ in range(ONE_AFTER_ANOTHER)) / ONE_AFTER_ANOTHER
    together = _seconds(box, STEPS)
    return [
        Row("waiting_steps_seconds", round(together, 2), "s", "lower"),
        Row("waiting_steps_ratio", round(single * STEPS / together, 1), "x", "higher", 10),
    ]


def _seconds(box: Box, count: int) -> float:
    """How long ``count`` runs take that are started at once."""
    with psycopg.connect(box.config.database_url, autocommit=True) as db:
        done, failed = _ended(db)
        began = time.monotonic()
        box.publish([(f"bench/waiting/{number}", b"go") for number in range(count)])
        while _ended(db)[0] < done + count:
            if _ended(db)[1] > failed or time.monotonic() - began > 120:
                raise RuntimeError("the waiting steps did not succeed")
            time.sleep(0.01)
        return time.monotonic() - began


def _ended(db: "psycopg.Connection[tuple[int, int]]") -> tuple[int, int]:
    row = db.execute(_ENDED).fetchone()
    return (row[0], row[1]) if row else (0, 0)
