"""Carrying a plan out: read a piece, convert it on a thread, write it in order.

Memory is bounded by the pieces in flight, whatever the model's size. The result is written beside its target, read back
and checked, and only then takes its name; however a conversion ends otherwise, it leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local

import numpy as np

from sdrest.conversion.ggml import Bytes, Floats, Ggml, ggml
from sdrest.conversion.outputs import Output, open_output
from sdrest.conversion.plan import Plan, PlannedTensor, check_paths
from sdrest.conversion.progress import Converted, Progress
from sdrest.conversion.sources import Sources
from sdrest.conversion.verify import verify_structure
from sdrest.core.errors import Cancelled, InsufficientStorage, InvalidInput, ModelUnusable
from sdrest.core.files import disk_is_full, remove_unfinished, sync_folder, unfinished
from sdrest.core.tensor_types import TensorType

#: Values in one piece; each is in flight as its raw bytes, as 32-bit floats and as the result.
PIECE_VALUES = 1024 * 1024
_SPACE_MARGIN_BYTES = 1024 * 1024
_INTEGERS = frozenset({TensorType.I32, TensorType.I64, TensorType.I16, TensorType.I8, TensorType.BOOL})


def default_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def convert(
    plan: Plan,
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Converted:
    """Write the planned file.

    ``cancelled`` is asked before every piece; :class:`Cancelled` is raised then. Raises :class:`InsufficientStorage`,
    :class:`ModelUnusable` (values that are no numbers, files that end too early) or what :func:`make_plan` raises when
    the paths changed since.
    """
    started = time.monotonic()
    target = plan.request.target
    check_paths(plan.request)
    remove_unfinished(target)
    free = shutil.disk_usage(target.parent).free
    if free < plan.nbytes + _SPACE_MARGIN_BYTES:
        raise InsufficientStorage(
            f"{target.parent} has {free // 2**20} MiB free; the result takes {plan.nbytes // 2**20 + 1} MiB",
            free_bytes=free,
            needed_bytes=plan.nbytes,
        )
    with _storage_errors(target):
        with unfinished(target) as path:
            _write(plan, path, threads or default_threads(), progress, cancelled)
            verify_structure(plan, path)
        sync_folder(target.parent)
    return Converted(target, target.stat().st_size, plan.source_bytes, len(plan.tensors), time.monotonic() - started)


def _write(
    plan: Plan, path: Path, threads: int, progress: Callable[[Progress], None], cancelled: Callable[[], bool]
) -> None:
    output = open_output(plan, path)
    try:
        with Sources() as sources:
            with ThreadPoolExecutor(threads, thread_name_prefix="convert") as pool:
                try:
                    _pump(plan, sources, pool, threads, output, progress, cancelled)
                finally:
                    pool.shutdown(cancel_futures=True)
            sources.check_unchanged()
        output.flush()
    finally:
        output.close()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rows of one tensor."""

    tensor: PlannedTensor
    start: int
    rows: int
    is_last: bool

    @property
    def source_bytes(self) -> int:
        return self.tensor.source_type.nbytes((self.rows, self.tensor.row_length))


def pieces(tensor: PlannedTensor, values: int = PIECE_VALUES) -> Iterator[_Piece]:
    """A tensor in pieces of whole rows, about ``values`` values each; a quantized row is never cut."""
    rows = max(1, values // tensor.row_length)
    for start in range(0, tensor.rows, rows):
        yield _Piece(tensor, start, min(rows, tensor.rows - start), start + rows >= tensor.rows)


def _pump(
    plan: Plan,
    sources: Sources,
    pool: ThreadPoolExecutor,
    threads: int,
    output: Output,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> None:
    """Keep the threads busy with the next pieces while the finished ones are written in order."""
    work = _Work(plan, sources)
    total, done, finished = plan.source_bytes, 0, 0
    waiting: deque[tuple[_Piece, Future[Bytes]]] = deque()
    upcoming = (piece for tensor in plan.tensors for piece in pieces(tensor))
    while True:
        while len(waiting) < 2 * threads and (piece := next(upcoming, None)) is not None:
            waiting.append((piece, pool.submit(work.convert, piece)))
        if not waiting:
            return
        if cancelled():
            raise Cancelled("the conversion was stopped")
        piece, future = waiting.popleft()
        output.write(future.result())
        done += piece.source_bytes
        if piece.is_last:
            output.end_tensor(piece.tensor)
            finished += 1
        progress(Progress(done, total, finished, len(plan.tensors), piece.tensor.name))


class _Work:
    """Conversion of single pieces; called on several threads."""

    def __init__(self, plan: Plan, sources: Sources) -> None:
        self._search = plan.request.search
        self._sources = sources
        self._ggml: Ggml = ggml()
        self._buffers = local()

    def convert(self, piece: _Piece) -> Bytes:
        tensor = piece.tensor
        kind, wanted = tensor.source_type, tensor.type
        start = tensor.source.offset + kind.nbytes((piece.start, tensor.row_length))
        raw = self._sources.read(tensor.file, start, piece.source_bytes)
        if kind is wanted:
            return raw
        if kind in _INTEGERS:
            return raw.view(np.int64).astype(np.int32).view(np.uint8)
        values = self._floats(piece.rows, tensor.row_length)
        self._ggml.to_floats(raw, kind, values)
        # Not a number propagates through min and max; quantisers may loop or abort on it.
        if values.size and not (np.isfinite(values.min()) and np.isfinite(values.max())):
            raise ModelUnusable(
                f"{tensor.name} holds values that are no finite numbers; keep its type with a rule "
                f"({tensor.name}={kind.value}) or repair the model",
                tensor=tensor.name,
            )
        if wanted is TensorType.F32:
            return values.copy().view(np.uint8).reshape(-1)
        result = self._ggml.quantize(values, wanted, search=self._search)
        if wanted is TensorType.F16 and not np.isfinite(result.view(np.float16)).all():
            raise ModelUnusable(
                f"{tensor.name} holds values beyond the range of f16; use bf16 or f32", tensor=tensor.name
            )
        return result

    def _floats(self, rows: int, length: int) -> Floats:
        """This thread's buffer: new pages for every piece would cost more than the conversion of some types."""
        buffer: Floats | None = getattr(self._buffers, "floats", None)
        if buffer is None or buffer.size < rows * length:
            buffer = self._buffers.floats = np.empty(max(rows * length, PIECE_VALUES), dtype=np.float32)
        return buffer[: rows * length].reshape(rows, length)


@contextlib.contextmanager
def _storage_errors(target: Path) -> Iterator[None]:
    """Turn the operating system's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if disk_is_full(error):
            raise InsufficientStorage(f"{target.parent} became full while {target.name} was written") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise InvalidInput(f"{target.parent} cannot be written to ({error.strerror})", field="output") from error
        if error.errno == errno.EFBIG:
            raise InsufficientStorage(f"{target.parent} does not take files of this size") from error
        raise
