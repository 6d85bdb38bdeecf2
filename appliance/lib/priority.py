"""How urgent something is, as people write it and as a queue orders it."""

from enum import StrEnum


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """The more urgent, the higher; the numbers stand in the database."""
        return {"low": -10, "normal": 0, "high": 10, "critical": 20}[self.value]
