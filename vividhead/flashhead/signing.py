"""Signed provenance (C2PA): a generated file carries a manifest that says how it was made, and a signature over both.

By default a certificate signs that this machine made for itself, once. Such a signature proves that the file is as it
was when it was signed; it does not prove who signed it. Who has a certificate that others trust names it instead.

The folder of the own certificate: `VIVIDHEAD_SIGNING`, or `~/.config/vividhead/signing`.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np

from vividhead.errors import StorageError, UsageError, VividHeadError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.x509 import Certificate

SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's name for what a trained model made."""
ASSERTION = "org.vividhead.generation"
CERTIFICATE, KEY = "certificate.pem", "key.pem"
LASTS_DAYS = 3650
QUIET = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}, "builder": {"thumbnail": {"enabled": False}}}
"""Nobody is asked over the network, neither on writing nor on reading."""
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


def is_installed() -> bool:
    """Whether the extra `provenance` is there."""
    return find_spec("c2pa") is not None and find_spec("cryptography") is not None


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate with those that vouch for it, PEM, and its private key."""

    certificates_pem: bytes
    key_pem: bytes
    algorithm: str

    def sign(self, source: Path, out: Path, claims: Mapping[str, Any]) -> None:
        """Write the mp4 `source` with a manifest to `out`. Raises VividHeadError."""
        with source.open("rb") as film, out.open("w+b") as signed:
            self._sign("video/mp4", film, signed, claims)

    def check(self) -> None:
        """Sign one black pixel: a certificate that C2PA does not allow is told before hours of work."""
        pixel = bytes(cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1])
        self._sign("image/png", BytesIO(pixel), BytesIO(), {})

    def _sign(self, kind: str, source: BinaryIO, out: BinaryIO, claims: Mapping[str, Any]) -> None:
        import c2pa

        info = c2pa.C2paSignerInfo(self.algorithm, self.certificates_pem, self.key_pem, None)
        try:
            with (
                c2pa.Context.from_dict(QUIET) as context,
                c2pa.Builder(manifest_of(kind, claims), context=context) as builder,
                c2pa.Signer.from_info(info) as signer,
            ):
                builder.sign(signer, kind, source, out)
        except c2pa.C2paError.Io as fault:
            raise StorageError(f"the signed file cannot be written: {fault}") from fault
        except c2pa.C2paError as fault:
            raise VividHeadError(f"the file cannot be signed: {fault}") from fault


def manifest_of(kind: str, claims: Mapping[str, Any]) -> dict[str, Any]:
    """What is signed: made by a trained model, by this program, from this."""
    agent = {"name": "VividHead", "version": version("vividhead")}
    created = {"action": "c2pa.created", "digitalSourceType": SYNTHETIC, "softwareAgent": agent}
    return {
        "claim_generator_info": [agent],
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": ASSERTION, "data": dict(claims)},
        ],
    }


def home() -> Path:
    """The folder of this machine's own certificate."""
    named = os.environ.get("VIVIDHEAD_SIGNING")
    return Path(named).expanduser() if named else Path.home() / ".config" / "vividhead" / "signing"


def own_signer() -> Signer:
    """This machine's own, made where there is none yet. Raises UsageError or StorageError, naming the folder."""
    folder = home()
    try:
        if not (folder / KEY).exists():
            _make(folder)
        if os.name == "posix" and (folder / KEY).stat().st_mode & 0o077:
            raise UsageError(f"others may read the private key {folder / KEY}: chmod 600 it, or remove {folder}")
    except OSError as fault:
        raise StorageError(f"no certificate can be kept in {folder}: {fault.strerror}") from fault
    return signer_of(folder / CERTIFICATE, folder / KEY)


def own_signer_if_any() -> Signer | None:
    """For files that are signed where that can be, such as samples of training: None where it cannot."""
    if not is_installed():
        return None
    try:
        return own_signer()
    except VividHeadError:
        return None


def signer_of(certificate: Path, key: Path) -> Signer:
    """A certificate, those that vouch for it after it in the same file, and its key. Raises UsageError."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        certificates_pem, key_pem = certificate.read_bytes(), key.read_bytes()
    except OSError as fault:
        raise UsageError(f"{fault.filename} cannot be read: {fault.strerror}") from fault
    try:
        chain = x509.load_pem_x509_certificates(certificates_pem)
    except ValueError as fault:
        raise UsageError(f"{certificate} holds no certificate in PEM: {fault}") from fault
    try:
        secret = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError) as fault:
        raise UsageError(f"{key} holds no private key in PEM without a password: {fault}") from fault

    def raw(public: "PublicKeyTypes") -> bytes:
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    if raw(chain[0].public_key()) != raw(secret.public_key()):
        raise UsageError(f"{key} is not the key of the first certificate in {certificate}")
    if not chain[0].not_valid_before_utc <= datetime.now(UTC) <= chain[0].not_valid_after_utc:
        raise UsageError(f"{certificate} is valid to {chain[0].not_valid_after_utc:%Y-%m-%d}, not now")
    return Signer(certificates_pem, key_pem, _algorithm_of(chain[0].public_key(), certificate))


def _algorithm_of(public: "PublicKeyTypes", where: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return _CURVES[public.curve.name]
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(public, rsa.RSAPublicKey):
        return "ps256"
    raise UsageError(f"{where}: C2PA signs with P-256, P-384, P-521, Ed25519 or RSA keys, not this one")


def _make(folder: Path) -> None:
    """A certificate and one that vouches for it, whose key is forgotten: C2PA wants nobody to vouch for himself."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _certificate("VividHead, root of one machine", root.public_key(), root)
    own = _certificate("VividHead, self-made", leaf.public_key(), root, issuer)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))  # for its owner alone
    try:
        (part / CERTIFICATE).write_bytes(own.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM))
        handle = os.open(part / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as key:
            key.write(leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        try:
            part.rename(folder)
        except OSError:
            if not (folder / KEY).exists():  # else another process was first, and its certificate is as good
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _certificate(
    name: str,
    public: "EllipticCurvePublicKey",
    signing: "EllipticCurvePrivateKey",
    issuer: "Certificate | None" = None,
) -> "Certificate":
    """One that signs files, by `issuer`; without it, one that vouches for others, by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Self-made: says nothing of who")
    subject = x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_root, now = issuer is None, datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=LASTS_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if not is_root:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return made.sign(signing, SHA256())
