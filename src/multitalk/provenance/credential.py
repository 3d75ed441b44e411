"""What videos are signed with: the operator's certificate, or one of this machine's own.

The latter is made at first use and stays in the state directory.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.util import find_spec
from typing import TYPE_CHECKING

from multitalk.disk import write_atomically
from multitalk.errors import DeliveryFailed
from multitalk.provenance.local_certificate import make_certificate
from multitalk.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

LOCAL_FILE = "c2pa-local.pem"  # the key, then the chain, leaf first
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
MIN_RSA_BITS = 2048  # as RSA keys, C2PA 2.2, section 13.2

logger = logging.getLogger(__name__)


class _Unusable(Exception):
    """A certificate or a key that videos cannot be signed with; the message says why."""


@dataclass(frozen=True)
class Credential:
    """What videos are signed with.

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


def prepare(settings: Settings) -> Credential | None:
    """What videos are signed with here, or None where they carry plain metadata only.

    Cheap once the local certificate is there. To be called at a door's start, so that what is wrong
    is said then, and by each job before its work.

    Raises:
        DeliveryFailed: Signing is asked for and impossible, or the operator's files are unusable.
    """
    if settings.provenance == "metadata":
        return None
    is_operators = bool(settings.c2pa_certificate or settings.c2pa_key)
    is_wanted = is_operators or settings.provenance == "c2pa"
    if find_spec("c2pa") is None:
        if is_wanted:
            raise DeliveryFailed("c2pa_without_library")
        return None
    url = settings.c2pa_timestamp_url
    if url and not url.startswith(("http://", "https://")):
        reason = "an address begins with http:// or https://"
        raise DeliveryFailed(
            "c2pa_unusable", variable="MULTITALK_C2PA_TIMESTAMP_URL", reason=reason
        )
    if is_operators:
        return _operators(settings)
    try:
        return _local(settings)
    except (OSError, RuntimeError) as error:  # the latter: no home to keep it in
        reason = str(error.strerror) if isinstance(error, OSError) else "no home directory"
        failure = DeliveryFailed("c2pa_state_unwritable", reason=reason)
        if is_wanted:
            raise failure from error
        logger.warning("%s; videos carry plain metadata only", failure)
        return None


def _operators(settings: Settings) -> Credential:
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


def _local(settings: Settings) -> Credential:
    """This machine's own, made if it is not there.

    Raises:
        OSError, RuntimeError: The state directory cannot be used.
        DeliveryFailed: What is there is no certificate, or an expired one.
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
    """A chain and a key that belong together and are good today.

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
    """C2PA's name of how a key signs (C2PA 2.2, section 13.2)."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name]
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= MIN_RSA_BITS:
        return "ps256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise _Unusable("C2PA signs by keys on P-256, P-384, P-521, Ed25519, or RSA of 2048 bits")
