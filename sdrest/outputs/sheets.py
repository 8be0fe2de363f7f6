"""Contact sheets: the pictures of a group in a labelled grid, as one PNG file or one HTML file with everything in it."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from sdrest.core import bounds
from sdrest.core.group import Axis, Group
from sdrest.outputs.pictures import png_bytes, thumbnail_jpeg

_GAP_PX: Final = 8
_MAX_SIDE_PX: Final = 16_000
#: Side of the place of a picture that is not there, and longest side of a picture in HTML.
_EMPTY_PX: Final = 256
_THUMB_PX: Final = 512
_STYLE: Final = (
    "body{font:15px system-ui,sans-serif;margin:24px;color:#222;background:#fff}table{border-collapse:collapse;margin:0 0 32px}"
    "th{font-weight:600;padding:6px 10px;max-width:24em;text-align:left}td{padding:4px;vertical-align:top;max-width:512px}"
    "img{display:block;max-width:100%;height:auto}.none{color:#888;padding:24px;text-align:center}"
)


def layout(group: Group) -> tuple[int, int, int]:
    """Columns, rows and tables of a sheet."""
    lengths = [len(axis.values) for axis in group.axes]
    if group.is_list:
        columns = math.ceil(math.sqrt(lengths[0]))
        return columns, math.ceil(lengths[0] / columns), 1
    columns, rows, tables = (*lengths, 1, 1)[:3]
    return columns, rows, tables


def png_sheet(group: Group, pictures: Sequence[Path | None], *, has_legend: bool = True) -> bytes:
    """The sheet of a group as a PNG file. Blocks.

    Args:
        group: What was asked for.
        pictures: The picture of each place, or None; pictures are made smaller until the sheet keeps to its bounds.
        has_legend: Whether values are written beside the pictures.
    """
    columns, rows, tables = layout(group)
    cell = _cell_size(pictures)
    shrink = min(
        1.0,
        math.sqrt(bounds.SHEET_PIXELS / (cell[0] * columns * cell[1] * rows * tables)),
        _MAX_SIDE_PX / (cell[0] * columns),
        _MAX_SIDE_PX / (cell[1] * rows * tables),
    )
    width, height = (max(8, int(side * shrink)) for side in cell)
    font = ImageFont.load_default(max(10, min(width, height) // 14))
    line = math.ceil(font.getbbox("Ág")[3] * 1.5)
    is_headed, is_captioned = has_legend and not group.is_list, has_legend and group.is_list
    margin = _text_width(group.axes[1], font) + 2 * _GAP_PX if is_headed and rows > 1 else 0
    heading, title, caption = (line if there else 0 for there in (is_headed, is_headed and tables > 1, is_captioned))
    table_height = heading + title + rows * (height + _GAP_PX + caption)
    size = (margin + columns * (width + _GAP_PX) + _GAP_PX, tables * table_height + _GAP_PX)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for place, path in enumerate(pictures):
        column, row, table = place % columns, place // columns % rows, place // (columns * rows)
        top = table * table_height + _GAP_PX
        labels = group.labels(place)
        if title and column == row == 0:
            draw.text((_GAP_PX, top), f"{group.axes[2].label}: {labels[2]}", "black", font)
        top += title
        left = margin + _GAP_PX + column * (width + _GAP_PX)
        if is_headed and row == 0:
            _text(draw, (left, top), labels[0] if columns > 1 else f"{group.axes[0].label}: {labels[0]}", width, font)
        upper = top + heading + row * (height + _GAP_PX + caption)
        if margin and column == 0:
            draw.text((_GAP_PX, upper + height // 2 - line // 2), labels[1], "black", font)
        _paste(sheet, draw, path, (left, upper, width, height))
        if is_captioned:
            _text(draw, (left, upper + height), labels[0], width, font)
    return png_bytes(sheet)


def html_sheet(group: Group, pictures: Sequence[Path | None]) -> bytes:
    """The sheet of a group as an HTML file with its pictures in it. Blocks."""
    columns, rows, tables = layout(group)
    name = html.escape(group.name or "Pictures")
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style><h1>{name}</h1>'
    ]
    for table in range(tables):
        if tables > 1:
            parts.append(f"<h2>{html.escape(group.axes[2].label)}: {html.escape(group.axes[2].values[table])}</h2>")
        parts.append("<table>")
        if not group.is_list:
            corner = html.escape(" / ".join(axis.label for axis in reversed(group.axes[:2])))
            heads = "".join(f'<th scope="col">{html.escape(value)}</th>' for value in group.axes[0].values)
            parts.append(f"<tr><th>{corner}</th>{heads}</tr>")
        for row in range(rows):
            start = (table * rows + row) * columns
            places = range(start, min(start + columns, group.places))
            side = html.escape(group.axes[1].values[row]) if len(group.axes) > 1 else ""
            head = "" if group.is_list else f'<th scope="row">{side}</th>'
            parts.append(f"<tr>{head}{''.join(_html_cell(group, place, pictures[place]) for place in places)}</tr>")
        parts.append("</table>")
    return "".join(parts).encode()


def _html_cell(group: Group, place: int, path: Path | None) -> str:
    said = html.escape(", ".join(group.labels(place)))
    below = f"<div>{said}</div>" if group.is_list else ""
    if path is None:
        return f'<td><div class="none">no picture</div>{below}</td>'
    data = base64.b64encode(thumbnail_jpeg(path, _THUMB_PX)).decode()
    return f'<td><img src="data:image/jpeg;base64,{data}" alt="{said}">{below}</td>'


def _cell_size(pictures: Sequence[Path | None]) -> tuple[int, int]:
    """The size that all pictures have room in."""
    width = height = 0
    for path in pictures:
        if path is not None:
            with Image.open(path) as picture:
                width, height = max(width, picture.width), max(height, picture.height)
    return width or _EMPTY_PX, height or _EMPTY_PX


def _paste(sheet: Image.Image, draw: ImageDraw.ImageDraw, path: Path | None, box: tuple[int, int, int, int]) -> None:
    left, top, width, height = box
    if path is None:
        draw.rectangle((left, top, left + width - 1, top + height - 1), outline="#cccccc")
        return
    with Image.open(path) as picture:
        picture.thumbnail((width, height), Image.Resampling.LANCZOS)
        sheet.paste(picture.convert("RGB"), (left, top))


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Write a text, cut where it would be wider than its picture."""
    while len(text) > 1 and draw.textlength(text, font) > width:
        text = text.removesuffix("…")[:-1] + "…"
    draw.text(at, text, "black", font)


def _text_width(axis: Axis, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return math.ceil(max(font.getlength(value) for value in axis.values))
