"""llama.cpp's own quantiser, called in the process that loads it: never one of the box's services."""

import ctypes
from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class Ggml:
    """The shared object of the wheel ``xllamacpp``. Raises ImportError, OSError where there is none."""

    def __init__(self, workers: Executor, threads: int) -> None:
        from xllamacpp import xllamacpp

        library = ctypes.CDLL(xllamacpp.__file__)
        self._quantise: Any = library.ggml_quantize_chunk
        # Newer versions take one more pointer at the end, for scales; who does not know it does not look there.
        self._quantise.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self._quantise.restype = ctypes.c_size_t
        self._row_size: Any = library.ggml_row_size
        self._row_size.argtypes, self._row_size.restype = [ctypes.c_int, ctypes.c_int64], ctypes.c_size_t
        library.ggml_quantize_init.argtypes = [ctypes.c_int]
        self._prepare = library.ggml_quantize_init
        self._workers, self._threads = workers, threads

    def quantise(self, kind: int, rows: Floats) -> Bytes:
        """``rows``: two dimensions, contiguous. Gives the bytes of each row. Raises ValueError."""
        count, length = rows.shape
        assert rows.flags.c_contiguous
        assert rows.dtype == np.float32
        if not np.isfinite(rows).all():
            raise ValueError("it holds values that are no numbers")
        self._prepare(kind)
        made = np.empty((count, self._row_size(kind, length)), np.uint8)
        step = -(-count // self._threads)
        parts = [(rows[at : at + step], made[at : at + step]) for at in range(0, count, step)]
        written = sum(self._workers.map(lambda part: self._chunk(kind, *part), parts))
        if written != made.nbytes:
            raise ValueError(f"llama.cpp wrote {written} bytes in the place of {made.nbytes}")
        return made

    def _chunk(self, kind: int, rows: Floats, made: Bytes) -> int:
        return int(self._quantise(kind, rows.ctypes.data, made.ctypes.data, 0, *rows.shape, None, None))
