"""The index over the folder, in this process's memory: SQLite's full-text search, kept fresh by a look at the files.

It is made at the first search, and afterwards only what changed is read again. Words are found exactly or by their stem
(BM25, headings count more); of what is found the nearest by character n-grams come first. A word that no file has is
taken for the one that it is most like.
"""

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

from appliance.agent.knowledge.folder import Mark, Trouble, Unreadable, listing, text_of
from appliance.agent.knowledge.sections import Passage, Section, passages, sections
from appliance.agent.knowledge.terms import asked, indexed, is_chinese
from appliance.inference.embeddings.ngrams import NgramEncoder, Sparse
from appliance.lib.digest import sha256_hex
from appliance.lib.said import Said

_SCHEMA = """
CREATE TABLE files (file TEXT PRIMARY KEY, mtime INTEGER, size INTEGER, inode INTEGER, digest TEXT);
CREATE TABLE passages (id INTEGER PRIMARY KEY, file TEXT, section INTEGER, heading TEXT, line INTEGER, text TEXT);
CREATE INDEX passages_file ON passages (file);
CREATE VIRTUAL TABLE words USING fts5(head, body, tokenize = 'porter unicode61');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row);
"""
_FIND = """
SELECT p.file, p.section, p.heading, p.line, p.text, bm25(words, 4.0, 1.0) AS rank FROM words
JOIN passages p ON p.id = words.rowid WHERE words MATCH ? ORDER BY rank LIMIT ?
"""
_LIKE = "SELECT term FROM vocabulary WHERE term >= ? AND term < ? AND length(term) BETWEEN ? AND ? LIMIT 500"
_CANDIDATES = 24
_COMPARED = 12
"""Of those, how many are compared by n-grams, and how many characters of each: that is what costs."""
_LOOKED_AT = 160
_NEAR, _EXACT = 0.3, 0.7
"""How much the nearness by n-grams counts beside the words themselves."""
_ALIKE = 0.8
_encoder = NgramEncoder()


_Row = tuple[str, int, str, int, str, float]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage; ``score`` is between 0 and 1, and only to be compared within one answer."""

    file: str
    section: int
    heading: str
    line: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class FileSeen:
    file: str
    size: int
    sections: int
    title: str


class Index:
    """One per folder and process. All its doors may be called from any thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._troubles: list[Trouble] = []
        self._bad: dict[str, Said] = {}

    def search(self, question: str, most: int) -> list[Hit]:
        """The nearest passages first; at most two of one section."""
        words = asked(question)
        if not words:
            return []
        with self._lock:
            self._refresh()
            known = [near for word in words for near in self._known(word)]
            query = " OR ".join(f'"{word}"' for word in dict.fromkeys(known))
            rows = self._db.execute(_FIND, (query, _CANDIDATES)).fetchall() if query else []
        return _ranked(question, words, rows)[:most]

    def files(self) -> list[FileSeen]:
        """By name."""
        with self._lock:
            self._refresh()
            rows = self._db.execute(
                "SELECT f.file, f.size, count(DISTINCT p.section), (SELECT heading FROM passages t "
                "WHERE t.file = f.file AND heading <> '' ORDER BY id LIMIT 1) "
                "FROM files f LEFT JOIN passages p ON p.file = f.file GROUP BY f.file ORDER BY f.file"
            ).fetchall()
            bad = set(self._bad)
        return [
            FileSeen(file, size, count, title or "") for file, size, count, title in rows if file not in bad
        ]

    def troubles(self) -> list[Trouble]:
        """What is in the folder and is not searched."""
        with self._lock:
            self._refresh()
            return list(self._troubles)

    def sections(self, file: str) -> list[Section]:
        """Of one file as it is now; none of a file that is not there."""
        with self._lock:
            self._refresh()
            known = self._db.execute("SELECT 1 FROM files WHERE file = ?", (file,)).fetchone()
        if known is None:
            return []
        try:
            return sections(text_of(self.root, file))
        except Unreadable:
            return []

    def _known(self, word: str) -> list[str]:
        """The word itself; of one that no file has those that it is most like."""
        if self._db.execute("SELECT 1 FROM words WHERE words MATCH ? LIMIT 1", (f'"{word}"',)).fetchone():
            return [word]
        if is_chinese(word) or len(word) < 4:
            return [word]
        begins = (word[:1], word[:1] + "\U0010ffff")
        terms = self._db.execute(_LIKE, (*begins, max(4, len(word) - 5), len(word) + 2)).fetchall()
        # Terms are stems: the end of the word counts as little as theirs.
        near = [(SequenceMatcher(None, word[: len(term) + 1], term).ratio(), term) for (term,) in terms]
        return [word, *(term for ratio, term in sorted(near, reverse=True)[:3] if ratio >= _ALIKE)]

    # --- keeping it fresh

    def _refresh(self) -> None:
        found = listing(self.root)
        rows = self._db.execute("SELECT file, mtime, size, inode FROM files").fetchall()
        known = {file: Mark(mtime, size, inode) for file, mtime, size, inode in rows}
        changed = [file for file, mark in found.files.items() if known.get(file) != mark]
        gone = known.keys() - found.files.keys()
        if changed or gone:
            self._db.execute("BEGIN")
            try:
                for file in gone:
                    self._forget(file)
                for file in changed:
                    self._read(file, found.files[file])
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        bad = [Trouble(file, why) for file, why in sorted(self._bad.items())]
        self._troubles = [*found.troubles, *bad]

    def _read(self, file: str, mark: Mark) -> None:
        text, why = "", None
        try:
            text = text_of(self.root, file)
        except Unreadable as error:
            why = error.why
        digest = sha256_hex(text.encode())
        same = self._db.execute(
            "SELECT 1 FROM files WHERE file = ? AND digest = ?", (file, digest)
        ).fetchone()
        if same is None:
            self._forget(file)
            self._add(file, text)
        if why is not None:
            self._bad[file] = why
        else:
            self._bad.pop(file, None)
        values = (file, mark.mtime_ns, mark.size, mark.inode, digest)
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values)

    def _add(self, file: str, text: str) -> None:
        found = [one for section in sections(text) for one in passages(section)]
        # What has nothing but its heading is found by what stands below it, which has that heading too.
        silent = {one for one in found if _says_nothing(one)}
        for passage in found:
            values = (file, passage.section, passage.heading, passage.line, passage.text)
            cursor = self._db.execute(
                "INSERT INTO passages (file, section, heading, line, text) VALUES (?, ?, ?, ?, ?)", values
            )
            if passage in silent and len(silent) < len(found):
                continue
            head = indexed(f"{file.removesuffix('.md')} {passage.heading}")
            self._db.execute(
                "INSERT INTO words (rowid, head, body) VALUES (?, ?, ?)",
                (cursor.lastrowid, head, indexed(passage.text)),
            )

    def _forget(self, file: str) -> None:
        self._db.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM passages WHERE file = ?)", (file,))
        self._db.execute("DELETE FROM passages WHERE file = ?", (file,))
        self._db.execute("DELETE FROM files WHERE file = ?", (file,))
        self._bad.pop(file, None)


def _says_nothing(passage: Passage) -> bool:
    first, _, rest = passage.text.strip().partition("\n")
    return first.lstrip().startswith("#") and not rest.strip()


def _ranked(question: str, words: Sequence[str], rows: Sequence[_Row]) -> list[Hit]:
    """By the words (against the best of them, and how many of those that were asked), and by nearness."""
    best = max((-row[5] for row in rows), default=0.0) or 1.0
    by_words = sorted(
        ((_by_words(row, words, best), row) for row in rows), key=lambda one: (-one[0], one[1][:4])
    )
    wanted = _encoder.sparse(question)
    hits: list[Hit] = []
    for place, (score, row) in enumerate(by_words):
        file, section, heading, line, text, _ = row
        near = _near(wanted, _sparse(f"{heading} {text[:_LOOKED_AT]}")) if place < _COMPARED else 0.0
        score = round(min(1.0, _EXACT * score + _NEAR * near), 4)
        hits.append(Hit(file, section, heading, line, text, score))
    found: list[Hit] = []
    for hit in sorted(hits, key=lambda one: (-one.score, one.file, one.line)):
        if sum((one.file, one.section) == (hit.file, hit.section) for one in found) < 2:
            found.append(hit)
    return found


def _by_words(row: _Row, words: Sequence[str], best: float) -> float:
    whole = f"{row[0]} {row[2]} {row[4]}".casefold()
    there = sum(word in whole for word in words) / len(words)
    return 0.5 * max(0.0, -row[5]) / best + 0.5 * there


@lru_cache(maxsize=2_000)
def _sparse(text: str) -> Sparse:
    return _encoder.sparse(text)


def _near(one: Sparse, other: Sparse) -> float:
    return sum(weight * other.get(place, 0.0) for place, weight in one.items())
