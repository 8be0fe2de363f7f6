"""Credentials in headers, and whose idea a browser's request was."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from sdrest.core.errors import Unauthorized
from sdrest.web.http.auth import Basic, Bearer, Credentials, Key, credentials_in, is_foreign


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Authorization": ""}, None),
        ({"Authorization": "Basic "}, None),
        ({"Authorization": "Basic Og=="}, None),  # ":"
        ({"Authorization": "bearer  abc "}, Bearer("abc")),
        ({"Authorization": "Basic YW5uOmE6YjrDqQ=="}, Basic("ann", "a:b:é")),
        ({"X-API-Key": "k"}, Key("k")),
        ({"X-API-Key": "k", "Authorization": "Bearer t"}, Key("k")),
        ({"X-API-Key": " ", "Authorization": "Bearer t"}, Bearer("t")),
    ],
)
def test_each_form_is_understood(headers: dict[str, str], expected: Credentials | None) -> None:
    assert credentials_in(headers) == expected


@pytest.mark.parametrize("text", ["Digest x", "abc", "Basic ###", "Basic YW5u", "Basic /w==", "Negotiate x"])
def test_anything_else_is_an_error(text: str) -> None:
    if text == "abc":
        assert credentials_in({"Authorization": text}) is None
        return
    with pytest.raises(Unauthorized):
        credentials_in({"Authorization": text})


@pytest.mark.parametrize(
    ("method", "headers", "foreign"),
    [
        ("POST", {}, False),
        ("POST", {"Origin": "http://localhost:8080"}, False),
        ("POST", {"Origin": "http://localhost:3000"}, True),
        ("POST", {"Origin": "null"}, True),
        ("POST", {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
        ("POST", {"Sec-Fetch-Site": "same-site"}, True),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, True),
        ("POST", {"Sec-Fetch-Site": "none"}, False),
        ("DELETE", {"Origin": "https://evil.example"}, True),
        ("GET", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, False),
        ("GET", {"Origin": "https://evil.example", "Upgrade": "websocket"}, True),
        ("GET", {"Origin": "http://localhost:8080", "Upgrade": "WebSocket"}, False),
    ],
)
def test_a_request_of_another_sites_page_is_told(method: str, headers: dict[str, str], foreign: bool) -> None:
    request = make_mocked_request(method, "/x", headers={"Host": "localhost:8080", **headers})
    assert is_foreign(request) is foreign
