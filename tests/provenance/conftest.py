"""A small talk, a place for state, and certificates as an operator may have them."""

import wave
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from multitalk.media.soundtrack import Soundtrack, SoundtrackVoice
from multitalk.media.video import VideoWriter
from multitalk.settings import Settings

NUM_FRAMES = 30
SIDE = 64


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    work = tmp_path / "work"
    work.mkdir()
    return Settings(
        state_directory=tmp_path / "state", allowed_roots=(tmp_path,), work_directory=work
    )


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """1.2 s of a low tone."""
    path = tmp_path / "voice.wav"
    time = np.arange(19_200) / 16_000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((8_000 * np.sin(2 * np.pi * 200 * time)).astype(np.int16).tobytes())
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "jane-doe.png"
    path.write_bytes(b"stands for a picture")
    return path


@pytest.fixture
def write(tmp_path: Path, voice: Path) -> Callable[..., Path]:
    def write(*, fragmented: bool = False) -> Path:
        """A moving gradient with sound."""
        ramp = np.linspace(0, 255, SIDE, dtype=np.uint8)
        frames = np.stack([np.roll(ramp, 3 * index) for index in range(NUM_FRAMES)])
        frames = np.broadcast_to(
            frames[:, None, :, None], (NUM_FRAMES, SIDE, SIDE, 3)
        )  # [T, H, W, 3]
        path = tmp_path / "talk.mp4"
        track = Soundtrack([SoundtrackVoice(voice)], num_frames=NUM_FRAMES)
        fragments: list[bytes] = []
        with VideoWriter(
            None if fragmented else path,
            width=SIDE,
            height=SIDE,
            soundtrack=track,
            on_fragment=(lambda fragment: fragments.append(fragment.content))
            if fragmented
            else None,
        ) as writer:
            writer.append(np.ascontiguousarray(frames))
        if fragmented:
            path.write_bytes(b"".join(fragments))
        return path

    return write


@pytest.fixture
def talk(write: Callable[..., Path]) -> Path:
    return write()


@pytest.fixture
def issue(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    def issue(
        private: object, *, days: int = 30, purpose: object = ExtendedKeyUsageOID.EMAIL_PROTECTION
    ) -> tuple[Path, Path]:
        """A chain's file and a key's, for a key that signs, from an authority made for it."""
        now = datetime.now(timezone.utc)
        authority = ec.generate_private_key(ec.SECP256R1())
        pem = serialization.Encoding.PEM
        chain = b""
        for subject, public in ("Example Studio", private), ("Example Authority", authority):
            is_leaf = public is private
            builder = (
                x509.CertificateBuilder()
                .subject_name(_name(subject))
                .issuer_name(_name("Example Authority"))
                .public_key(public.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - timedelta(days=60))
                .not_valid_after(now + timedelta(days=days))
                .add_extension(x509.BasicConstraints(not is_leaf, None), True)
                .add_extension(_usage(is_leaf=is_leaf), True)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
                    False,
                )
                .add_extension(
                    x509.SubjectKeyIdentifier.from_public_key(public.public_key()), False
                )
            )
            if is_leaf:
                is_critical = purpose == ExtendedKeyUsageOID.TIME_STAMPING  # RFC 3161, 2.3
                builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), is_critical)
            chain += builder.sign(authority, hashes.SHA256()).public_bytes(pem)
        certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
        certificate.write_bytes(chain)
        key.write_bytes(
            private.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key

    return issue


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, is_leaf: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=is_leaf,
        key_cert_sign=not is_leaf,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
