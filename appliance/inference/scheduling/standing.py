"""How often an engine has failed, and what follows: a pause, or quarantine. Pure; seconds are monotonic."""

from dataclasses import dataclass

from appliance.lib.backoff import delay

BASE, CAP = 10.0, 300.0
STRIKES = 3
"""So many bad answers in a row and it is made anew."""
MOST_DEATHS = 5
"""So often dead by a signal or for want of memory, without a good answer in between, and it is left alone."""
_SIGNALS = frozenset({134, 136, 137, 139})
"""Exit statuses of a container whose program was ended by SIGABRT, SIGFPE, SIGKILL, SIGSEGV."""


def died(exit_status: int | None, out_of_memory: bool) -> bool:
    """Whether an engine was ended, and did not end."""
    return out_of_memory or (exit_status is not None and (exit_status < 0 or exit_status in _SIGNALS))


@dataclass(slots=True)
class Standing:
    """Of one version of one model on one engine. Another version begins anew."""

    failures: int = 0
    deaths: int = 0
    strikes: int = 0
    again_at: float = 0.0

    def works(self) -> None:
        """A real answer came."""
        self.failures = self.deaths = self.strikes = 0
        self.again_at = 0.0

    def strike(self) -> bool:
        """A bad answer; gives whether it is one too many."""
        self.strikes += 1
        return self.strikes >= STRIKES

    def failed(self, now: float, *, dead: bool) -> bool:
        """It has to be made anew, after a pause; gives whether it is to be left alone instead."""
        self.failures += 1
        self.deaths += dead
        self.strikes = 0
        self.again_at = now + delay(self.failures, base=BASE, cap=CAP)
        return self.deaths >= MOST_DEATHS

    def rests(self, now: float) -> float:
        """Seconds until it may be tried again."""
        return max(0.0, self.again_at - now)
