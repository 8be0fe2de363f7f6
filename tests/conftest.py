"""Fixtures for all tests."""

import logging

import structlog

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

pytest_plugins = ["tests.tiny.fixtures", "tests.acceptance.browser"]
