"""Signed files: C2PA's own reader finds them whole, and what was changed afterwards not; the pixels are the same."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from sdrest.cli.configuration import load_settings
from sdrest.core.errors import GenerationFailed, InvalidInput
from sdrest.core.names import PictureFormat, SigningAlgorithm
from sdrest.core.parameters import GenerationParameters, VideoFormat
from sdrest.outputs.marks import DigitalSource
from sdrest.outputs.picture_files import PictureFiles
from sdrest.outputs.signing import Signer
from sdrest.outputs.video import MEDIA_TYPES, write_video
from sdrest.outputs.written.reading import read_written

PIXELS = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
TEXT = "a fox\nSteps: 8, Sampler: Euler, CFG scale: 2"


def _named(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Fox & Co")]
    )


def _certificate(subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate for signing, or for signing such ones when it is its own issuer's."""
    is_authority = subject == issuer
    now = dt.datetime.now(dt.UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority, **usage),
            critical=True,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )  # fmt: skip
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The owner's certificate chain and key, as settings."""
    folder = tmp_path_factory.mktemp("owner")
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = _certificate("owner", key, "authority", authority) + _certificate(
        "authority", authority, "authority", authority
    )
    files = {"c2pa_certificates": folder / "chain.pem", "c2pa_key": folder / "key.pem"}
    files["c2pa_certificates"].write_bytes(chain)
    files["c2pa_key"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.fixture(scope="module")
def files(owner: dict[str, Path]) -> PictureFiles:
    """Writes signed files."""
    return PictureFiles.of(load_settings(dict(owner)))


def told(data: bytes, media_type: str) -> tuple[str, list[str], str]:
    """What C2PA's reader says: its verdict, what it finds wrong, and the digital source type of the one action."""
    with c2pa.Reader(media_type, io.BytesIO(data)) as reader:
        store: dict[str, Any] = json.loads(reader.json())
    manifest = store["manifests"][store["active_manifest"]]
    assert manifest["signature_info"]["issuer"] == "Fox & Co"
    (actions,) = [
        item["data"]["actions"] for item in manifest["assertions"] if item["label"].startswith("c2pa.actions")
    ]
    (action,) = actions
    assert (action["action"], action["softwareAgent"]["name"]) == ("c2pa.created", "sdrest")
    # The test's authority is on nobody's list of trusted ones.
    wrong = [
        item["code"] for item in store.get("validation_status", ()) if item["code"] != "signingCredential.untrusted"
    ]
    return store["validation_state"], wrong, action["digitalSourceType"].rpartition("/")[2]


@pytest.mark.parametrize("form", PictureFormat)
def test_every_format_is_signed_and_keeps_its_pixels_parameters_and_mark(
    form: PictureFormat, files: PictureFiles, tmp_path: Path
) -> None:
    parameters = GenerationParameters(output_format=form, init_image="a.png")
    for name, writer in (("plain", PictureFiles()), ("signed", files)):
        assert writer.write(tmp_path / name, PIXELS, parameters, TEXT) == (tmp_path / name).stat().st_size
    data = (tmp_path / "signed").read_bytes()
    assert told(data, f"image/{form}") == ("Valid", [], DigitalSource.COMPOSITE)
    assert (read_written(data).infotext, read_written(data).digital_source) == (TEXT, DigitalSource.COMPOSITE)
    with Image.open(tmp_path / "plain") as plain, Image.open(tmp_path / "signed") as signed:
        assert plain.tobytes() == signed.tobytes()
    changed = bytearray(data)
    changed[-60 if form is not PictureFormat.PNG else -20] ^= 1
    try:
        verdict = told(bytes(changed), f"image/{form}")
    except c2pa.C2paError:
        return  # not even a whole file any more
    assert verdict[0] == "Invalid" or verdict[1]


@pytest.mark.parametrize("form", [VideoFormat.MP4, VideoFormat.WEBP, VideoFormat.GIF])
def test_videos_are_signed(form: VideoFormat, files: PictureFiles, tmp_path: Path) -> None:
    parameters = GenerationParameters()
    write_video(
        tmp_path / "video", [PIXELS, PIXELS[::-1]], fps=4, video_format=form,
        seal=lambda data: files.sealed(data, MEDIA_TYPES[form], parameters),
    )  # fmt: skip
    assert told((tmp_path / "video").read_bytes(), MEDIA_TYPES[form]) == ("Valid", [], DigitalSource.TRAINED)


def test_webm_is_left_as_it_is(files: PictureFiles) -> None:
    assert files.sealed(b"\x1a\x45\xdf\xa3", "video/webm", GenerationParameters()) == b"\x1a\x45\xdf\xa3"


def test_a_time_stamp_that_cannot_be_had_costs_no_picture(owner: dict[str, Path]) -> None:
    # Port 9 of this machine: nobody answers there.
    signer = Signer(owner["c2pa_certificates"], owner["c2pa_key"], SigningAlgorithm.ES256, "http://127.0.0.1:9/")
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    assert told(signer.signed(stream.getvalue(), "image/png", DigitalSource.TRAINED), "image/png")[0] == "Valid"
    with pytest.raises(GenerationFailed, match="cannot be signed"):
        signer.signed(b"no picture", "image/png", DigitalSource.TRAINED)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"c2pa_key": None}, "c2pa_key", "needs both"),
        ({"c2pa_certificates": None}, "c2pa_certificates", "needs both"),
        ({"c2pa_key": Path("/nowhere/key.pem")}, "c2pa_key", "cannot read /nowhere/key.pem"),
        ({"c2pa_algorithm": "es384"}, "c2pa_certificates", r"\(es384\) cannot sign"),
        ({"c2pa_key": Path(__file__)}, "c2pa_certificates", "cannot sign"),
    ],
)
def test_what_cannot_sign_is_said_at_start(
    changes: dict[str, Any], field: str, words: str, owner: dict[str, Path]
) -> None:
    settings = load_settings({name: value for name, value in {**owner, **changes}.items() if value is not None})
    with pytest.raises(InvalidInput, match=words) as raised:
        PictureFiles.of(settings)
    assert raised.value.problems[0].field == field
