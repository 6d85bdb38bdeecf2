"""What guard writes in its log of requests that it refused: whoever asks must not write there what they like."""

import logging
import socket

import pytest

from appliance.processes.guard import refusals as module
from appliance.processes.guard.refusals import MOST_LINES, Cause, Refusals
from appliance.sandbox.process.request import Refused


def refuse(refusals: Refusals, message: str) -> None:
    with pytest.raises(Refused), socket.socket(socket.AF_UNIX) as one, refusals.at(Cause.SCHEMA, one):
        raise Refused(message)


def test_what_was_asked_makes_no_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    refuse(Refusals(), "no verb 'x\n2026-03-01 INFO all is well\x1b[2J'")
    (line,) = caplog.messages
    assert line.isprintable()


def test_a_flood_leaves_room_in_the_log_and_is_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    refusals = Refusals()
    for _ in range(MOST_LINES + 5):
        refuse(refusals, "no")
    assert len(caplog.messages) == MOST_LINES
    kept = refusals.to_json()["refusals"]
    assert isinstance(kept, list)
    assert len(kept) == MOST_LINES + 5
    monkeypatch.setattr(module, "_LINES_SECONDS", 0.0)
    refuse(refusals, "once more")
    assert caplog.messages[MOST_LINES] == "5 further refusals were not logged"
    assert "once more" in caplog.messages[-1]
