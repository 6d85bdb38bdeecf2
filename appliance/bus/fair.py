"""A queue in which one flooding topic starves nobody: topics take turns, each in its own order."""

from collections import deque

from appliance.bus.window import Held


class FairQueue:
    """``take`` gives as many as fit, one of each topic in turn; what it gives stands in order of arrival."""

    def __init__(self) -> None:
        self._topics: dict[str, deque[tuple[int, Held]]] = {}
        self._turns: deque[str] = deque()
        self._arrived = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, held: Held) -> None:
        topic = held.message.topic
        waiting = self._topics.get(topic)
        if waiting is None:
            waiting = self._topics[topic] = deque()
            self._turns.append(topic)
        self._arrived += 1
        self._size += 1
        waiting.append((self._arrived, held))

    def take(self, most: int) -> list[Held]:
        """Up to ``most`` of what waits. With room for all it is simply everything, in order of arrival."""
        taken: list[tuple[int, Held]] = []
        while self._turns and len(taken) < most:
            topic = self._turns.popleft()
            waiting = self._topics[topic]
            taken.append(waiting.popleft())
            if waiting:
                self._turns.append(topic)
            else:
                del self._topics[topic]
        self._size -= len(taken)
        taken.sort(key=lambda one: one[0])
        return [held for _, held in taken]
