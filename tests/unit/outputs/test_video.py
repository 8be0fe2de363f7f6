"""Frames become files that players read: number, size, rate and order are kept."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from sdrest.core.parameters import VideoFormat
from sdrest.outputs.pictures import thumbnail_jpeg
from sdrest.outputs.video import write_video

FRAMES = [np.full((31, 48, 3), (255 - 60 * index, 60 * index, 30), np.uint8) for index in range(4)]


@pytest.mark.parametrize("video_format", [VideoFormat.WEBM, VideoFormat.MP4])
def test_container_holds_the_frames(tmp_path: Path, video_format: VideoFormat) -> None:
    path = tmp_path / f"video.{video_format}"
    size = write_video(path, FRAMES, fps=8, video_format=video_format, comment="a wave\nSteps: 2")
    assert size == path.stat().st_size
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 8
        assert "a wave" in {key.lower(): value for key, value in container.metadata.items()}["comment"]
    assert [frame.shape for frame in frames] == [(30, 48, 3)] * 4
    assert [bool(frame[..., 0].mean() > frame[..., 1].mean()) for frame in frames] == [True, True, True, False]
    assert thumbnail_jpeg(path, 16).startswith(b"\xff\xd8")


@pytest.mark.parametrize("video_format", [VideoFormat.WEBP, VideoFormat.GIF])
def test_animation_holds_the_frames(tmp_path: Path, video_format: VideoFormat) -> None:
    path = tmp_path / f"video.{video_format}"
    write_video(path, FRAMES, fps=8, video_format=video_format, comment="a wave")
    with Image.open(path) as animation:
        assert getattr(animation, "n_frames", 0) == 4
        animation.seek(1)
        animation.load()
        assert animation.info["duration"] in {120, 125}
        assert animation.size == (48, 31)
    assert thumbnail_jpeg(path, 16).startswith(b"\xff\xd8")
