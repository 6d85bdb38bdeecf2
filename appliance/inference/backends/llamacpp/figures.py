"""What llama.cpp's own metrics page says."""

from appliance.inference.backends.contract import Stats
from appliance.inference.backends.prometheus import figures


def stats_of(page: str) -> Stats:
    given = figures(page)

    def whole(name: str) -> int | None:
        return int(given[name]) if name in given else None

    return Stats(
        running=whole("llamacpp:requests_processing"),
        waiting=whole("llamacpp:requests_deferred"),
        prompt_tokens=whole("llamacpp:prompt_tokens_total"),
        generated_tokens=whole("llamacpp:tokens_predicted_total"),
    )
