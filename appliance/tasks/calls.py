"""Tasks that call each other must not go round in circles."""

from collections.abc import Collection, Iterator, Mapping


def circles(calls: Mapping[str, Collection[str]]) -> Iterator[tuple[str, list[str]]]:
    """Every task that calls itself, directly or through others, with one shortest way round.

    ``calls`` maps a name to the names it calls; names that are not keys call nobody.
    """
    rest = _tangled(calls)
    for name in rest:
        way = _way_back(rest, name)
        if way:
            yield name, way


def _tangled(calls: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """What is left when tasks that call nobody left are taken away again and again, in the order given."""
    rest = {name: list(dict.fromkeys(called)) for name, called in calls.items()}
    callers: dict[str, list[str]] = {}
    for name, called in rest.items():
        for each in called:
            callers.setdefault(each, []).append(name)
    open_calls = {name: sum(each in rest for each in called) for name, called in rest.items()}
    ended = [name for name, count in open_calls.items() if count == 0]
    while ended:
        name = ended.pop()
        del rest[name]
        for caller in callers.get(name, ()):
            open_calls[caller] -= 1
            if open_calls[caller] == 0:
                ended.append(caller)
    return rest


def _way_back(calls: Mapping[str, Collection[str]], start: str) -> list[str]:
    """``[start, …, start]`` found breadth first, or nothing."""
    came_from: dict[str, str] = {}
    row = [start]
    while row:
        following: list[str] = []
        for name in row:
            for called in calls.get(name, ()):
                if called == start:
                    return _trace(came_from, start, name)
                if called not in came_from:
                    came_from[called] = name
                    following.append(called)
        row = following
    return []


def _trace(came_from: Mapping[str, str], start: str, last: str) -> list[str]:
    way = [start]
    while last != start:
        way.append(last)
        last = came_from[last]
    return [start, *reversed(way)]
