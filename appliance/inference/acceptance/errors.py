"""What can be wrong with what people write for the tests."""

from appliance.lib.located.problems import FileRefused


class GoldenRefused(FileRefused):
    """A golden set with mistakes in it: each with its file, line and what was expected."""

    code = "model.golden_refused"
