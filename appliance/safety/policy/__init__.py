"""Policy: rules as data, decided on the typed action. No I/O but in ``services`` and ``keeper``."""
