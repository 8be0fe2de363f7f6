"""Python frameworks around the OpenAI API, each in a process with an environment of its own.

``tests/acceptance/clients/install_frameworks.sh`` installs them; importing one takes seconds.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.acceptance.clients.other_clients import PICTURE, decoded, told, until_cancelled
from tests.acceptance.conftest import Server
from tests.needs import FRAMEWORKS, needs

USE = Path(__file__).parent / "frameworks" / "use.py"

pytestmark = needs("frameworks")


@pytest.mark.parametrize("name", ["agno", "haystack", "semantic_kernel", "griptape"])
def test_a_framework_generates_edits_errs_and_gives_up(server: Server, name: str) -> None:
    picture = server.native_picture()  # a job of its own: after this, the newest job is the framework's
    made = told(server, [FRAMEWORKS, USE, name])
    assert base64.b64decode(made["generated"]) == picture
    assert "Error code: 4" in made["error"]
    # What a framework does not have, it does not tell of.
    if "url" in made:
        assert decoded(made["url"]).size == (256, 256)
    if "edited" in made:
        assert decoded(made["edited"]).size == PICTURE.size
    if "aborted" in made:
        assert made["aborted"] == "CancelledError"
        until_cancelled(server)
