"""Tokens of CLIP, counted with the vocabulary that the native library brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.planning.clip_tokens import ClipTokens

TOKENS = ClipTokens()


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        # As OpenAI's own tokenizer counts them: 320 1125 539 320 2368, for the first.
        ("a photo of a cat", 5),
        ("A Photo  of\na CAT", 5),
        ("hello world!", 3),
        ("masterpiece, best quality, 8k", 7),
        ("1girl", 2),
        ("it's", 2),
        ("photorealistic", 2),
        ("", 0),
        ("(a photo:1.2) of [a] cat", 5),
        ("a photo of a cat <lora:ink:0.8>", 5),
        (r"cat \(animal\)", 4),
        ("cat BREAK dog", 2),
        ("2024", 4),
    ],
)
def test_prompts_are_counted_as_the_text_encoder_reads_them(prompt: str, count: int) -> None:
    assert TOKENS.count(prompt) == count


def test_signs_of_other_scripts_are_pieces_of_bytes() -> None:
    one = TOKENS.count("狐")
    assert one is not None
    assert 1 <= one <= 3
    assert TOKENS.count("🦊" * 50) is not None


def test_without_the_vocabulary_nothing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "library.so").write_bytes(b"\x7fELF #version: 0.2\na b\n\0")
    assert ClipTokens(tmp_path / "library.so").count("a cat") is None
    assert ClipTokens(tmp_path / "nothing.so").count("a cat") is None
