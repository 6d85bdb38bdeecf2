"""A service begins when ``up`` lets it, and at once where nobody will."""

import threading
from pathlib import Path

from appliance.processes import go_ahead


def test_without_a_file_to_wait_for_it_begins_at_once() -> None:
    """It begins on its own thread, so that one that waits for ever is a failure and not a standstill."""
    service = threading.Thread(target=go_ahead.wait, args=({},), daemon=True)
    service.start()
    service.join(10)
    assert not service.is_alive()


def test_it_begins_when_the_file_is_there_and_not_before(tmp_path: Path) -> None:
    path, begun = tmp_path / "go-ahead", threading.Event()

    def service() -> None:
        go_ahead.wait({go_ahead.VARIABLE: str(path)})
        begun.set()

    waiting = threading.Thread(target=service)
    waiting.start()
    assert not begun.wait(0.1)
    path.touch()
    waiting.join(10)
    assert begun.is_set()
