"""ZIP files made piece by piece."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from sdrest.outputs.zipping import Entry, zip_pieces

PIECE = 256 * 1024


def test_files_come_back_and_no_piece_is_large(tmp_path: Path) -> None:
    large = bytes(range(256)) * 8000
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "empty").write_bytes(b"")
    when = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
    early = datetime(1970, 1, 1, tzinfo=UTC)
    pieces = [*zip_pieces([Entry(tmp_path / "large", "a/ä.png", when), Entry(tmp_path / "empty", "b.png", early)])]
    assert max(map(len, pieces)) < 2 * PIECE
    assert len(pieces) > 5
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert archive.testzip() is None
    assert archive.read("a/ä.png") == large
    assert archive.getinfo("a/ä.png").date_time == (2026, 3, 4, 5, 6, 8)
    assert archive.read("b.png") == b""
