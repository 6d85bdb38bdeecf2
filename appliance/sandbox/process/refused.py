"""What the door of the spawner says no with."""


class Refused(Exception):
    """The job is not taken as it stands."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
