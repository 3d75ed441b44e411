"""The published key: meaning of the 32 bits of a mark, and the sequences that carry them.

A payload has four symbols of 8 bits. Each symbol chooses one of 256 sequences. One more sequence,
the pilot, is the same in every mark: it shows that there is a mark, and where. All sequences come
from SHAKE-256 of a text, so that they never change.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SCHEME = 1  # this program's, the first of its kind
SYMBOLS = 4
SYMBOL_VALUES = 256
TALK_BITS = 20
VERSION_BITS = 8
MINOR_BITS = 6  # of the version; the rest is the major number
KEY = "MultiTalk Serverless watermark, scheme 1"


@dataclass(frozen=True)
class Payload:
    """Content of a mark: 4 bits for the scheme, 8 for the program's version, 20 for the talk.

    Attributes:
        major: The program's major version, 0 to 3.
        minor: Its minor version, 0 to 63.
        talk: A number of the talk, 0 to 2**20 - 1.
    """

    major: int
    minor: int
    talk: int

    @classmethod
    def of(cls, version: str, name: str) -> "Payload":
        """The payload of a talk, whose number is a part of the SHA-256 of its name."""
        major, minor = (int(part) for part in version.split(".")[:2])
        digest = hashlib.sha256(name.encode()).digest()
        talk = int.from_bytes(digest[:4], "big") % 2**TALK_BITS
        return cls(min(major, 3), min(minor, 2**MINOR_BITS - 1), talk)

    @property
    def symbols(self) -> tuple[int, ...]:
        """Four symbols of 8 bits, the most significant first."""
        version = self.major << MINOR_BITS | self.minor
        word = (SCHEME << VERSION_BITS | version) << TALK_BITS | self.talk
        return tuple(word.to_bytes(SYMBOLS, "big"))

    @classmethod
    def from_symbols(cls, symbols: tuple[int, ...]) -> "Payload | None":
        """The payload that symbols stand for; None if they are of another scheme."""
        word = int.from_bytes(bytes(symbols), "big")
        version = word >> TALK_BITS & 2**VERSION_BITS - 1
        if word >> TALK_BITS + VERSION_BITS != SCHEME:
            return None
        return cls(version >> MINOR_BITS, version % 2**MINOR_BITS, word % 2**TALK_BITS)


def random_bytes(purpose: str, count: int) -> NDArray[np.uint8]:
    """The key's bytes for a purpose, uint8 [count]: SHAKE-256 of the key and the purpose."""
    text = f"{KEY}, {purpose}".encode()
    return np.frombuffer(hashlib.shake_256(text).digest(count), np.uint8)


def random_signs(purpose: str, *shape: int) -> NDArray[np.float32]:
    """-1 and 1, float32 of the given shape, one for each bit of the key."""
    count = int(np.prod(shape))
    bits = np.unpackbits(random_bytes(purpose, -(-count // 8)))[:count]
    return (2.0 * bits - 1.0).astype(np.float32).reshape(shape)


def random_order(purpose: str, count: int) -> NDArray[np.intp]:
    """A permutation of `count` things: they are sorted by numbers of 64 bits."""
    return np.argsort(random_bytes(purpose, 8 * count).view("<u8"), kind="stable")


def random_phases(purpose: str, count: int) -> NDArray[np.complex128]:
    """Complex numbers of length 1, [count]; the phases are multiples of 2 pi / 2**16."""
    numbers = random_bytes(purpose, 2 * count).view("<u2")
    phases: NDArray[np.complex128] = np.exp(2j * np.pi * numbers / 2**16)
    return phases
