"""Fixtures for all tests."""

import logging
import os

import structlog

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

# Tests ask for the same picture again and again, and mean to have it made; what is reused has tests of its own.
os.environ.setdefault("SDREST_REUSE_RESULTS", "false")

pytest_plugins = ["tests.stub_engine", "tests.tiny.fixtures", "tests.acceptance.browser"]
