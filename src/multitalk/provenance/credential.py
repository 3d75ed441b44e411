"""The credential that signs videos: the operator's certificate, or a local one.

A local certificate is made at first use and stays in the state directory.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from typing import TYPE_CHECKING

from multitalk.disk import write_atomically
from multitalk.errors import DeliveryFailed
from multitalk.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

LOCAL_FILE = "c2pa-local.pem"  # the key, then the chain, leaf first
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
MIN_RSA_BITS = 2048  # as RSA keys, C2PA 2.2, section 13.2
ORGANIZATION = "Unverified: made on the machine that signs"
NAME = "MultiTalk Serverless local signer"
DAYS = 3650

logger = logging.getLogger(__name__)


class _Unusable(Exception):
    """A certificate or a key cannot sign videos; the message says why."""


@dataclass(frozen=True)
class Credential:
    """A certificate chain and its key.

    Attributes:
        chain: Certificates, PEM, the signer's first.
        key: The signer's private key, PEM (PKCS #8).
        algorithm: C2PA's name, such as `es256`.
        timestamp_url: Of a time-stamping authority (RFC 3161), or None.
    """

    chain: bytes
    key: bytes = field(repr=False)
    algorithm: str
    timestamp_url: str | None = None


def load_credential(settings: Settings) -> Credential | None:
    """The credential that signs videos, or None where they have plain metadata only.

    Cheap once the local certificate exists. Called when a process starts, so that errors of the
    set-up come then, and by each job before its work.

    Raises:
        DeliveryFailed: Signing is required and impossible, or the operator's files are unusable.
    """
    if settings.provenance == "metadata":
        return None
    is_operators = bool(settings.c2pa_certificate or settings.c2pa_key)
    is_required = is_operators or settings.provenance == "c2pa"
    if find_spec("c2pa") is None:
        if is_required:
            raise DeliveryFailed("c2pa_without_library")
        return None
    _check_timestamp_url(settings.c2pa_timestamp_url)
    if is_operators:
        return _operator_credential(settings)
    try:
        return _local_credential(settings)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home directory
        reason = str(error.strerror) if isinstance(error, OSError) else "no home directory"
        failure = DeliveryFailed("c2pa_state_unwritable", reason=reason)
        if is_required:
            raise failure from error
        logger.warning("%s; videos carry plain metadata only", failure)
        return None


def _check_timestamp_url(url: str | None) -> None:
    if url and not url.startswith(("http://", "https://")):
        reason = "an address begins with http:// or https://"
        raise DeliveryFailed(
            "c2pa_unusable", variable="MULTITALK_C2PA_TIMESTAMP_URL", reason=reason
        )


def _operator_credential(settings: Settings) -> Credential:
    contents = {}
    for name, path in (
        ("MULTITALK_C2PA_CERTIFICATE", settings.c2pa_certificate),
        ("MULTITALK_C2PA_KEY", settings.c2pa_key),
    ):
        if path is None:
            reason = "not set; the certificate and its key are needed both"
            raise DeliveryFailed("c2pa_unusable", variable=name, reason=reason)
        try:
            contents[name] = path.expanduser().read_bytes()
        except OSError as error:
            raise DeliveryFailed("c2pa_unusable", variable=name, reason=error.strerror) from error
    chain, key = contents.values()
    try:
        return _credential(chain, key, settings.c2pa_timestamp_url)
    except _Unusable as error:
        variable = "MULTITALK_C2PA_CERTIFICATE, MULTITALK_C2PA_KEY"
        raise DeliveryFailed("c2pa_unusable", variable=variable, reason=error) from error


def _local_credential(settings: Settings) -> Credential:
    """The local credential, made if it does not exist.

    Raises:
        OSError, RuntimeError: The state directory cannot be used.
        DeliveryFailed: The file holds no certificate, or an expired one.
    """
    path = settings.state_directory.expanduser() / LOCAL_FILE
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, make_certificate(), mode=0o600)
        logger.info("made a local certificate for signing videos: %s", path)
    content = path.read_bytes()
    try:
        return _credential(content, content, settings.c2pa_timestamp_url)
    except _Unusable as error:
        reason = f"delete {LOCAL_FILE} there: {error}"
        raise DeliveryFailed(
            "c2pa_unusable", variable="MULTITALK_STATE_DIRECTORY", reason=reason
        ) from error


def _credential(chain: bytes, key: bytes, timestamp_url: str | None) -> Credential:
    """A chain and a key that match and are valid today.

    Raises:
        _Unusable: They are not.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - of the extra
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415

    try:
        certificates = load_pem_x509_certificates(chain)
    except ValueError as error:
        raise _Unusable("no certificate in PEM") from error
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (TypeError, ValueError) as error:  # TypeError: it wants a password
        raise _Unusable("no private key in PEM without a password") from error
    _check_leaf(certificates[0], private)
    pem, unencrypted = serialization.Encoding.PEM, serialization.NoEncryption()
    return Credential(
        chain=b"".join(certificate.public_bytes(pem) for certificate in certificates),
        key=private.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted),
        algorithm=_algorithm(private),
        timestamp_url=timestamp_url,
    )


def _check_leaf(leaf: "Certificate", private: "PrivateKeyTypes") -> None:
    if leaf.public_key() != private.public_key():
        raise _Unusable("the key is not that of the first certificate")
    now = datetime.now(timezone.utc)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        first, last = leaf.not_valid_before_utc.date(), leaf.not_valid_after_utc.date()
        raise _Unusable(f"the certificate is good from {first} to {last}, not today")


def _algorithm(private: "PrivateKeyTypes") -> str:
    """C2PA's name of a key's signature algorithm (C2PA 2.2, section 13.2)."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name]
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= MIN_RSA_BITS:
        return "ps256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise _Unusable("C2PA signs by keys on P-256, P-384, P-521, Ed25519, or RSA of 2048 bits")


def make_certificate() -> bytes:
    """A key, P-256 in PKCS #8, and its chain of two certificates, leaf first; all in PEM.

    The names say that the certificate proves no identity: it shows that a video is as this machine
    made it. C2PA requires a signer that another certificate has issued; the issuer's key is thrown
    away, so that it cannot issue another.
    """
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    def named(common_name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )

    def issued(subject: str, of: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> bytes:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "crl_sign", "encipher_only", "decipher_only"), False
        )  # fmt: skip
        certificate = (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(f"{NAME}, issuer"))
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))  # clocks differ
            .not_valid_after(now + timedelta(days=DAYS))
            .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not is_authority, key_cert_sign=is_authority, **usage
                ),
                True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(of.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False
            )
        )
        if not is_authority:  # one of the purposes that C2PA 2.2, section 14.5.1, lets sign
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            certificate = certificate.add_extension(purpose, False)
        signed = certificate.sign(authority, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    now = datetime.now(timezone.utc)
    authority, signer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    key = signer.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    leaf = issued(NAME, signer, is_authority=False)
    return key + leaf + issued(f"{NAME}, issuer", authority, is_authority=True)
