"""Finished videos: WebM and MP4 through PyAV (the extra ``video``), animated WebP and GIF through Pillow."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from sdrest.core.errors import Unsupported
from sdrest.core.files import atomic_file
from sdrest.core.parameters import VideoFormat

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

MEDIA_TYPES: Final = {
    VideoFormat.WEBM: "video/webm",
    VideoFormat.MP4: "video/mp4",
    VideoFormat.WEBP: "image/webp",
    VideoFormat.GIF: "image/gif",
}
_CODECS: Final = {
    VideoFormat.WEBM: ("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}),
    VideoFormat.MP4: ("libx264", {"crf": "18", "preset": "fast", "movflags": "+faststart"}),
}
#: File name endings of containers that Pillow cannot open.
VIDEO_SUFFIXES: Final = frozenset({".webm", ".mp4"})


def check_format(video_format: VideoFormat) -> None:
    """Make sure that videos of this format can be written here.

    Raises:
        Unsupported: the package ``av`` is missing.
    """
    if video_format in _CODECS and importlib.util.find_spec("av") is None:
        raise Unsupported(
            f"{video_format} videos need the package 'av' (pip install 'sdrest[video]'); webp and gif work without"
        )


def write_video(
    target: Path,
    frames: Sequence[Pixels],
    *,
    fps: int,
    video_format: VideoFormat,
    comment: str = "",
    xmp: str = "",
    seal: Callable[[bytes], bytes] = bytes,
) -> int:
    """Write ``frames`` (height × width × 3 bytes each) as one file, atomically; its size in bytes.

    Args:
        target: The file.
        frames: At least one; all of one size.
        fps: Frames a second.
        video_format: Anything but ``frames``.
        comment: Text put into the file's metadata (GIF and containers).
        xmp: An XMP packet for animated WebP, the one of these formats that Pillow or PyAV can write it into.
        seal: What is done to the finished file before it is written.

    Raises:
        InsufficientStorage: the disk is full.
        Unsupported: as :func:`check_format`.
    """
    check_format(video_format)
    stream = io.BytesIO()
    if video_format in _CODECS:
        _encode(stream, frames, fps, video_format, comment)
    else:
        _animate(stream, frames, fps, video_format, comment, xmp)
    data = seal(stream.getvalue())
    with atomic_file(target) as file:
        file.write(data)
    return len(data)


def first_frame(path: Path) -> Image.Image:
    """The first frame of a WebM or MP4 file.

    Raises:
        OSError: it cannot be decoded.
        Unsupported: the package ``av`` is missing.
    """
    check_format(VideoFormat.WEBM)
    import av  # noqa: PLC0415 - an extra, and slow to import

    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                return Image.fromarray(frame.to_ndarray(format="rgb24"))
    except av.FFmpegError as error:
        raise OSError(str(error)) from error
    raise OSError(f"{path.name} holds no frame")


def _encode(stream: io.BytesIO, frames: Sequence[Pixels], fps: int, video_format: VideoFormat, comment: str) -> None:
    import av  # noqa: PLC0415 - an extra, and slow to import

    codec, options = _CODECS[video_format]
    height, width = frames[0].shape[:2]
    with av.open(stream, "w", format=video_format.value) as container:
        if comment:
            container.metadata["comment"] = comment
        # The containers' colour planes have half the size: odd sides lose their last row or column.
        track: Any = container.add_stream(codec, rate=fps, options=options)
        track.width, track.height, track.pix_fmt = width - width % 2, height - height % 2, "yuv420p"
        for frame in frames:
            cropped = np.ascontiguousarray(frame[: track.height, : track.width])
            container.mux(track.encode(av.VideoFrame.from_ndarray(cropped, format="rgb24")))
        container.mux(track.encode(None))


def _animate(
    stream: io.BytesIO, frames: Sequence[Pixels], fps: int, video_format: VideoFormat, comment: str, xmp: str
) -> None:
    first, *others = [Image.fromarray(frame) for frame in frames]
    options: dict[str, Any] = {"save_all": True, "append_images": others, "duration": round(1000 / fps), "loop": 0}
    if video_format is VideoFormat.GIF and comment:
        options["comment"] = comment.encode()
    if video_format is VideoFormat.WEBP:
        options |= {"quality": 90, "method": 2, **({"xmp": xmp.encode()} if xmp else {})}
    first.save(stream, video_format.value, **options)
