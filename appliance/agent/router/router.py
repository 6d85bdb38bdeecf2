"""From a sentence to a proposal: what is known of the box, and who else is heard."""

from collections.abc import Callable

from appliance.agent.router.agreement import without_names
from appliance.agent.router.domain import Look, Routed
from appliance.agent.router.interpreting import Interpreter
from appliance.agent.router.knowledge import Knowledge
from appliance.agent.router.lexicon import Name
from appliance.agent.router.tokens import LONGEST_TEXT
from appliance.agent.router.way import Beside, Proposer, Way


def everything(name: Name) -> bool:
    """Nothing is hidden."""
    return True


class Router:
    """Thread-safe: what it knows never changes; a box that has changed gets another router."""

    def __init__(
        self,
        knowledge: Knowledge,
        proposers: tuple[Proposer, ...] = (),
        interpreter: Interpreter | None = None,
    ) -> None:
        self.knowledge = knowledge
        self._beside = Beside(proposers, interpreter)

    def route(self, text: str, sees: Callable[[Name], bool] = everything) -> Routed:
        """What ``text`` means to somebody who sees these names. It never raises, and changes nothing."""
        if not text.strip() or len(text) > LONGEST_TEXT:
            return Routed(text, looks=(Look("read", "empty, or too long for a command"),))
        reading = self.knowledge.read(text)
        hidden = frozenset(name for names in reading.names for name in names if not sees(name))
        return Way(self.knowledge, self._beside, without_names(reading, hidden), text, sees).go()

    def joined_by(self, proposers: tuple[Proposer, ...], interpreter: Interpreter | None) -> "Router":
        """The same with further voices, which are heard after its own."""
        return Router(self.knowledge, (*self._beside.proposers, *proposers), interpreter)
