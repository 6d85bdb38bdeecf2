"""How long a search of a thousand runbooks takes, in this process: warm, with the look at every file."""

import random
import tempfile
import time
from pathlib import Path

from appliance.agent.knowledge.index import Index
from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row, percentile

FILES, BYTES = 1_000, 10_000
SEARCHES = 200
_WORDS = """
pump valve bearing motor pressure temperature restart shutdown leak alarm operator lubricate inspect replace filter
conveyor belt sensor relay fuse cabinet coolant vibration calibrate drain flush isolate torque spindle
"""
_CHINESE_WORDS = """
水泵 阀门 轴承 电机 压力 温度 重新启动 停机 泄漏 报警 操作员 润滑 检查 更换 过滤器 传送带 传感器 继电器 冷却液 振动
"""
_ENGLISH, _CHINESE = _WORDS.split(), _CHINESE_WORDS.split()


def knowledge(box: Box) -> list[Row]:
    """The box is not needed."""
    chance = random.Random(7)  # noqa: S311 - texts to search, the same each time
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(FILES):
            words = _CHINESE if number % 4 == 0 else _ENGLISH
            (root / f"runbook-{number}.md").write_text(_text(chance, words, number), encoding="utf-8")
        index = Index(root)
        began = time.perf_counter()
        index.search("pump", 5)
        cold = time.perf_counter() - began
        took = [_search(index, chance) for _ in range(SEARCHES)]
    return [
        Row("knowledge_search_p95_ms", round(percentile(took, 0.95) * 1000, 2), "ms", "lower", 100),
        Row("knowledge_search_p50_ms", round(percentile(took, 0.5) * 1000, 2), "ms", "lower"),
        Row("knowledge_index_seconds", round(cold, 2), "s", "lower"),
    ]


def _search(index: Index, chance: random.Random) -> float:
    words = chance.choice((_ENGLISH, _CHINESE))
    question = " ".join(chance.choices(words, k=chance.randint(1, 5)))
    began = time.perf_counter()
    index.search(question, 6)
    return time.perf_counter() - began


def _text(chance: random.Random, words: list[str], number: int) -> str:
    lines = [f"# Runbook {number}"]
    size = 0
    while size < BYTES:
        lines.append(f"\n## {' '.join(chance.choices(words, k=3))}\n")
        for _ in range(4):
            lines.append(f"{' '.join(chance.choices(words, k=25))} {chance.randint(1, 9999)}.")
            size += len(lines[-1].encode())
    return "\n".join(lines)
