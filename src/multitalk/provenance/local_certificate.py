"""A certificate of this machine's own, for signing videos where the operator has none.

It says in its name that it proves nothing about anybody: what it shows is that a video is as this
machine made it. C2PA wants a signer whom somebody else has issued; the key of the authority that
does so here is thrown away, so that nobody can issue another.
"""

from datetime import datetime, timedelta, timezone

ORGANIZATION = "Unverified: made on the machine that signs"
NAME = "MultiTalk Serverless local signer"
DAYS = 3650


def make_certificate() -> bytes:
    """A key, P-256 in PKCS #8, and its chain of two, leaf first; all of it PEM."""
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
