"""``containers.list``: which containers this box has."""

from appliance.agent.container_rows import containers
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonValue

MOST = 60


class ContainersListArguments(Arguments):
    word: str = ""
    """Only those with this word in name, image or model."""


class ContainersListTool(QueryTool[ContainersListArguments]):
    name = "containers.list"
    says = "List the containers of this box: steps that run in one now, and the engines of models."
    arguments = ContainersListArguments
    example = {"word": "vllm"}

    def answer(self, given: ContainersListArguments, asking: Asking) -> JsonValue:
        found = [one for one in containers(asking.by) if given.word in " ".join(map(str, one.values()))]
        return [*found[:MOST]]
