"""What a platform cannot carry is left out, and the text says so."""

from dataclasses import replace

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.messages import Attachment, Button
from appliance.bridges.presenting import Part, present
from tests.chat_desk import chat_message

PLAIN = Capabilities(text_limit=40)
RICH = Capabilities(text_limit=40, buttons=2, label_limit=6, attachment_limit=10)
CHART = Attachment("chart.png", "image/png", b"12345")
LOG = Attachment("log.txt", "text/plain", b"x" * 3000)


def test_the_title_stands_beside_the_text_and_counts() -> None:
    assert present(chat_message("hot", title="Pump\n3"), PLAIN) == [Part("hot", "Pump 3")]
    first, second = present(chat_message("x " * 30, title="T" * 10), PLAIN)
    assert first.title == "T" * 10
    assert len(first.whole) <= 40
    assert second.title == ""


def test_buttons_stand_under_the_last_text_as_far_as_there_is_room() -> None:
    buttons = (Button("Approve", "1"), Button("Deny", "2"), Button("Later", "3"))
    *_, last = present(chat_message("word " * 12, buttons=buttons), RICH)
    assert last.buttons == (Button("Appro…", "1"), Button("Deny", "2"))
    assert present(chat_message("hi", buttons=buttons), PLAIN)[0].buttons == ()


def test_files_follow_the_text_or_are_named_in_it() -> None:
    message = chat_message("see", attachments=(CHART, LOG))
    assert present(message, RICH) == [Part("see\n[log.txt, 3 KiB: not sent]"), Part("", attachment=CHART)]
    assert "".join(part.text for part in present(message, PLAIN)).count("not sent") == 2
    assert present(replace(message, text="", attachments=(CHART,)), RICH) == [Part("", attachment=CHART)]


def test_nothing_is_nothing() -> None:
    assert present(chat_message(" \n"), RICH) == []
