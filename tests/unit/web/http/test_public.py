"""What is said to everybody names no folder."""

import pytest

from sdrest.web.http.public import without_folders


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/opt/lib/libstable-diffusion.so: no such file", "libstable-diffusion.so: no such file"),
        ("cannot read '/home/anna b/models/a b.gguf'", "cannot read 'a b.gguf'"),
        ("cannot read /home/anna/models/a.gguf: no right", "cannot read a.gguf: no right"),
        ("failed with 3/4 of it done", "failed with 3/4 of it done"),
        ("see http://127.0.0.1:8080/api/health", "see http://127.0.0.1:8080/api/health"),
        ("exit status 1", "exit status 1"),
    ],
)
def test_folders_are_left_out(text: str, told: str) -> None:
    assert without_folders(text) == told
