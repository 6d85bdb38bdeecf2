"""Why the kernel's rules cannot be had."""


class NoKernelRules(Exception):
    """``reason`` is a sentence for the person; ``hint`` says what to do, where anything can be done."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint

    @property
    def said(self) -> str:
        return f"{self.reason}; {self.hint}" if self.hint else self.reason
