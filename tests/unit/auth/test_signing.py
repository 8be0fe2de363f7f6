"""Secrets on disk, tokens and signed addresses: what verifies, what does not."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from sdrest.auth.keyring import KeyRing
from sdrest.auth.signing import UrlSigner
from sdrest.auth.tokens import TokenKind, Tokens
from sdrest.core.errors import InvalidInput

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    ring = KeyRing(tmp_path / "secrets.json")
    ring.open()
    return ring


def issue(ring: KeyRing, kind: TokenKind = TokenKind.ACCESS) -> str:
    return Tokens(ring).issue(
        kind, token_id="t1", session_id="s1", principal="ann", now=NOW, expires_at=NOW + timedelta(minutes=5)
    )


def test_the_file_is_the_owners_alone_and_stays(ring: KeyRing) -> None:
    assert stat.S_IMODE(ring.file.stat().st_mode) == 0o600
    again = KeyRing(ring.file)
    again.open()
    assert again.newest() == ring.newest()
    assert list(ring.file.parent.iterdir()) == [ring.file]


def test_a_file_that_others_can_read_is_refused(ring: KeyRing) -> None:
    ring.file.chmod(0o640)
    with pytest.raises(InvalidInput, match="chmod 600"):
        KeyRing(ring.file).open()


@pytest.mark.parametrize("text", ["", "{}", '{"secrets": []}', '{"secrets": [{"id": "a", "value": "c2hvcnQ="}]}'])
def test_a_damaged_file_is_refused(ring: KeyRing, text: str) -> None:
    ring.file.write_text(text)
    with pytest.raises(InvalidInput, match=r"secrets\.json"):
        KeyRing(ring.file).open()


def test_a_token_says_what_it_was_issued_for(ring: KeyRing) -> None:
    token = Tokens(ring).read(issue(ring), NOW)
    assert token is not None
    assert (token.kind, token.id, token.session_id, token.principal) == (TokenKind.ACCESS, "t1", "s1", "ann")
    assert token.expires_at == NOW + timedelta(minutes=5)


def test_old_tokens_verify_after_a_rotation_by_another_process_and_not_for_ever(ring: KeyRing) -> None:
    text, other = issue(ring), KeyRing(ring.file)
    first = ring.newest().id
    other.rotate()
    assert ring.newest().id != first
    assert Tokens(ring).read(text, NOW) is not None
    other.rotate()
    assert Tokens(ring).read(text, NOW) is not None
    other.rotate()
    assert Tokens(ring).read(text, NOW) is None


def test_an_expired_token_is_refused(ring: KeyRing) -> None:
    assert Tokens(ring).read(issue(ring), NOW + timedelta(minutes=5)) is None


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
def test_no_other_algorithm_is_taken(ring: KeyRing, algorithm: str) -> None:
    claims = jwt.decode(issue(ring), options={"verify_signature": False})
    key = "" if algorithm == "none" else ring.newest().key("session tokens")
    forged = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": ring.newest().id})
    assert Tokens(ring).read(forged, NOW) is None


@pytest.mark.parametrize("change", [{"typ": "admin"}, {"iss": "other"}, {"sid": None}, {"exp": None}, {"exp": "soon"}])
def test_claims_of_another_kind_are_refused(ring: KeyRing, change: dict[str, object]) -> None:
    claims = jwt.decode(issue(ring), options={"verify_signature": False}) | change
    claims = {name: value for name, value in claims.items() if value is not None}
    forged = jwt.encode(
        claims, ring.newest().key("session tokens"), algorithm="HS256", headers={"kid": ring.newest().id}
    )
    assert Tokens(ring).read(forged, NOW) is None


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "x" * 5000, "\udc80", "eyJhbGciOiJIUzI1NiJ9.e30."])
def test_anything_else_is_no_token(ring: KeyRing, text: str) -> None:
    assert Tokens(ring).read(text, NOW) is None


def test_a_key_of_one_purpose_does_not_sign_for_another(ring: KeyRing) -> None:
    assert ring.newest().key("session tokens") != ring.newest().key("output addresses")


class TestSignedAddresses:
    @pytest.fixture
    def signer(self, ring: KeyRing) -> UrlSigner:
        return UrlSigner(ring, lifetime_seconds=60, clock=lambda: 1000.0)

    def test_one_is_good_for_its_file_alone(self, signer: UrlSigner) -> None:
        query = signer.query("job", "0.png")
        assert query["expires"] == "1060"
        assert signer.is_valid("job", "0.png", **query)
        assert not signer.is_valid("job", "1.png", **query)
        assert not signer.is_valid("other", "0.png", **query)

    def test_a_later_expiry_cannot_be_written_in(self, signer: UrlSigner) -> None:
        query = signer.query("job", "0.png")
        assert not signer.is_valid("job", "0.png", expires="9999", signature=query["signature"])

    def test_one_expires(self, signer: UrlSigner, ring: KeyRing) -> None:
        late = UrlSigner(ring, lifetime_seconds=60, clock=lambda: 1060.0)
        assert not late.is_valid("job", "0.png", **signer.query("job", "0.png"))

    @pytest.mark.parametrize("expires", ["", "-1", "1e9", "٣", "9" * 30])
    @pytest.mark.parametrize("signature", ["", ".", "x.y", "é"])
    def test_nonsense_is_refused(self, signer: UrlSigner, expires: str, signature: str) -> None:
        assert not signer.is_valid("job", "0.png", expires=expires, signature=signature)
