"""A long text stands under its message where it fits, and is a file where it does not."""

from appliance.bridges.capabilities import Capabilities, LengthUnit
from appliance.bridges.long_text import placed
from appliance.bridges.messages import Attachment
from appliance.bridges.presenting import present
from tests.chat_desk import chat_message

RICH = Capabilities(text_limit=40, attachment_limit=1000)
PLAIN = Capabilities(text_limit=40)
LOG = "\n".join(f"line {number}" for number in range(20))


def test_a_short_one_stands_under_the_message() -> None:
    assert placed("it failed", "", "\nline 1\n  line 2\n", RICH) == ("it failed\n\nline 1\n  line 2", ())
    assert placed("", "", "line 1", RICH) == ("line 1", ())


def test_a_long_one_is_a_file() -> None:
    file = Attachment("log.txt", "text/plain; charset=utf-8", LOG.encode())
    assert placed("it failed", "", LOG, RICH) == ("it failed", (file,))


def test_the_title_and_the_platforms_unit_count() -> None:
    just = "x" * (40 - len("it failed\n\n"))
    assert placed("it failed", "", just, RICH)[1] == ()
    assert placed("it failed", "T", just, RICH)[1] != ()
    bytes_limit = Capabilities(text_limit=40, unit=LengthUnit.BYTES, attachment_limit=1000)
    assert placed("it failed", "", "错" * 12, bytes_limit)[1] != ()


def test_without_files_as_much_as_fits_is_said_and_the_rest_is_counted() -> None:
    for capabilities in (PLAIN, Capabilities(text_limit=40, attachment_limit=10)):
        text, files = placed("it failed", "", LOG * 5, capabilities)
        assert files == ()
        parts = present(chat_message(text), capabilities)
        assert parts[0].text.startswith("it failed")
        assert "characters left out" in parts[-1].text


def test_nothing_attached_changes_nothing() -> None:
    assert placed(" hot ", "T", " \n", RICH) == (" hot ", ())
