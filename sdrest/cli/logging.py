"""Log lines for people or, on demand, as JSON."""

from __future__ import annotations

import logging
import sys

import structlog

from sdrest.settings import LogLevel


def configure_logging(level: LogLevel, *, as_json: bool) -> None:
    """Send all log lines to standard error in one form, those of libraries as well.

    Lines carry ``request_id`` while a request is answered and ``job_id`` while a job is worked on.
    """
    number = logging.getLevelNamesMapping()[level.value.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        # Not the traceback with the values of local variables: they hold prompts and settings.
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    # They tell of every request that they make; that is for those who look for a fault.
    for library in ("httpx", "httpx2"):
        logging.getLogger(library).setLevel(logging.NOTSET if level is LogLevel.DEBUG else logging.WARNING)
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
