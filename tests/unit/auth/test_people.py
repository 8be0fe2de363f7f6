"""The rule from an identity provider's claims to who somebody is here."""

from __future__ import annotations

from typing import Any

import pytest

from sdrest.auth.people import People
from sdrest.core.errors import Forbidden
from sdrest.core.principal import Role
from sdrest.settings import Settings

ANN = {"preferred_username": "Ann", "email": "ann@example.org", "email_verified": True, "groups": ["staff"]}


def people(**settings: Any) -> People:
    return People.of(Settings(**{"oidc_users": ["*"], **settings}))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["x", "boss"]}}),
        ("https://example.org/roles", {"https://example.org/roles": "boss"}),
        ("groups", {"groups": ["boss", 7, None]}),
    ],
)
def test_groups_are_found_wherever_the_provider_has_them(claim: str, value: dict[str, Any]) -> None:
    found = people(oidc_groups_claim=claim, oidc_admins=["boss"]).identity_of({**ANN, **value})
    assert (found.name, found.role, found.method) == ("Ann", Role.ADMIN, "oidc")


@pytest.mark.parametrize("value", [None, "boss ", {"boss": 1}, [["boss"]], 7])
def test_what_is_no_group_gives_nothing(value: object) -> None:
    assert people(oidc_admins=["boss"]).identity_of({**ANN, "groups": value}).role is Role.USER
    with pytest.raises(Forbidden, match="no group"):
        people(oidc_users=["boss"]).identity_of({**ANN, "groups": value})


@pytest.mark.parametrize("name", [None, "", "guest:1", "a b", "a\nb", ".ann", "x" * 129, 7, ["ann"]])
def test_a_name_that_could_be_taken_for_something_else_is_refused(name: object) -> None:
    with pytest.raises(Forbidden, match="'preferred_username' cannot be a user name"):
        people().identity_of({**ANN, "preferred_username": name})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"email_verified": False}, "does not vouch"),
        ({"email_verified": None}, "does not vouch"),
        ({"email": "ann@example.org.evil.example"}, "no domain"),
        ({"email": "ann@sub.example.org"}, "no domain"),
        ({"email": "example.org"}, "no domain"),
        ({"email": ""}, "does not vouch"),
    ],
)
def test_only_verified_addresses_of_the_domains_get_in(change: dict[str, object], told: str) -> None:
    rule = people(oidc_users=[], oidc_domains=["@Example.org"])
    assert rule.identity_of({**ANN, "email": "ann@EXAMPLE.org"}).role is Role.USER
    with pytest.raises(Forbidden, match=told):
        rule.identity_of({**ANN, **change})


def test_a_mail_address_is_a_name_only_when_it_is_verified() -> None:
    rule = people(oidc_name_claim="email")
    assert rule.identity_of(ANN).name == "ann@example.org"
    with pytest.raises(Forbidden, match="does not vouch"):
        rule.identity_of({**ANN, "email_verified": "false"})


def test_domains_bound_groups_and_groups_bound_domains() -> None:
    both = people(oidc_users=["painters"], oidc_domains=["example.org"])
    with pytest.raises(Forbidden, match="no group"):
        both.identity_of(ANN)
    with pytest.raises(Forbidden, match="no domain"):
        both.identity_of({**ANN, "groups": ["painters"], "email": "ann@else.example"})
    assert both.identity_of({**ANN, "groups": ["painters"]}).role is Role.USER


def test_more_is_asked_for_only_where_something_is_left_open() -> None:
    assert not people().lacks({"preferred_username": "ann"})
    assert people().lacks({"sub": "1"})
    assert people(oidc_admins=["boss"]).lacks({"preferred_username": "ann"})
    assert people(oidc_domains=["example.org"]).lacks({"preferred_username": "ann"})
    assert not people(oidc_admins=["boss"], oidc_domains=["example.org"]).lacks(ANN)
