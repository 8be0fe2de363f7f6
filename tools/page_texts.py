"""The texts of the pages that stand in tables of Python and not in calls of ``_``, for Babel (see ``[tool.babel]``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters, limits_of
from sdrest.registry.components import REASONS
from sdrest.web.ui import labels
from sdrest.web.ui.fields import leaf_fields
from sdrest.web.ui.languages import Labels
from sdrest.web.ui.tabs import TABS


def texts_of_tables(
    fileobj: object,  # noqa: ARG001 - the arguments are those of Babel's extractors
    keywords: object,  # noqa: ARG001 - as above
    comment_tags: object,  # noqa: ARG001 - as above
    options: object,  # noqa: ARG001 - as above
) -> Iterator[tuple[int, str, str, list[Any]]]:
    """All of them, in the shape of Babel's extractors."""
    for text in dict.fromkeys(_texts()):
        yield 0, "_", text, []


def _texts() -> Iterator[str]:
    for table in vars(labels).values():
        if isinstance(table, Labels):
            yield from table.english.values()
    for tab in TABS.values():
        yield from (tab.title, tab.hint, *(group.title for group in tab.groups))
    yield from REASONS
    shown = {name for tab in TABS.values() for name in tab.field_names}
    for table in (GenerationParameters, UpscaleParameters, VideoParameters):
        yield from (
            limits_of(item).help
            for name, item, _hint in leaf_fields(table)
            if name in shown and name not in labels.FIELD_HELP
        )
