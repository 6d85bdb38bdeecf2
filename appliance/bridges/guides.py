"""What people are told when they set a platform up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guide:
    """Each sentence is made by ``say()``, so that the web admin has it in the reader's language.

    ``needs``: in one line what somebody has to have. ``steps``: what to fetch where on the platform, in order.
    ``manual``: the page of the documentation, below ``docs/``. ``webhook``: where on the platform the address that it
    is to call has to be entered; empty where the bridge tells it, or nobody calls.
    """

    needs: str
    steps: tuple[str, ...]
    manual: str
    webhook: str = ""
