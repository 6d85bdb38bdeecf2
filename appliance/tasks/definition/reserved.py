"""Names that captures must not hide."""

RESERVED = frozenset(
    {
        "cache",
        "device",
        "error",
        "event",
        "index",
        "item",
        "now",
        "output",
        "outputs",
        "payload",
        "previous",
        "run",
        "state",
        "task",
        "topic",
        "vars",
    }
)
