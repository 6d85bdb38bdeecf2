"""The two modes of a box. The bars are those of the crash-safe one; the other one is measured beside it."""

CRASH_SAFE, POWER_SAFE = {"MILLWRIGHT_POWER_SAFE": "no"}, {"MILLWRIGHT_POWER_SAFE": "yes"}
