"""What a video's manifest claims (C2PA 2.2), and signing it into the finished file.

The manifest says: created, from trained algorithmic media, by this program and engine, with a
picture that is named by its digest only. No name, prompt, text, address or file name is in it.
"""

import hashlib
import io
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from multitalk.disk import DISK_ERRORS, unwritable_video, work_disk_error
from multitalk.errors import DeliveryFailed
from multitalk.media.label import DIGITAL_SOURCE_TYPE, PRODUCT
from multitalk.provenance.credential import Credential
from multitalk.provenance.inspection import OFFLINE, open_manifest
from multitalk.version import __version__

if TYPE_CHECKING:
    import c2pa
    from _typeshed import ReadableBuffer

MIME_TYPE = "video/mp4"
TITLE = "AI-generated video"
PORTRAIT = "portrait"
# Hashing in leaves of this size bounds the memory: without them the library holds the whole video.
# Correct for files with one `mdat` box, as here; for several, c2pa 0.91 writes wrong hashes.
LEAF_KIB = 1024
# The library's copies of a larger video are files without a name in the system's temporary
# directory; of a smaller one they are in memory.
IN_MEMORY_MIB = 8
READ_BYTES = 2**20
OS_ERROR = re.compile(r"\(os error (\d+)\)")  # in an error of the library's own files

logger = logging.getLogger(__name__)


def sign_video(video: Path, credential: Credential, *, picture: Path, engine: str) -> None:
    """Put a signed manifest into a finished MP4, in its place: signed whole, or as it was.

    Not for a fragmented one, whose pieces are gone before it could be signed.

    Args:
        video: The file; pictures and sound stay as they are.
        credential: What it is signed with.
        picture: What the video was made from; its digest goes into the manifest.
        engine: The engine's name.

    Raises:
        DeliveryFailed: It could not be signed, or the signature does not fit.
        DiskUnusable: A disk took nothing more.
    """
    import c2pa  # noqa: PLC0415 - an extra

    signed = video.with_name(f"{video.name}.signed")
    settings = {
        **OFFLINE,
        "core": {
            "merkle_tree_chunk_size_in_kb": LEAF_KIB,
            "backing_store_memory_threshold_in_mb": IN_MEMORY_MIB,
        },
    }
    target: _Target | None = None
    try:
        with (
            _signer(credential) as signer,
            c2pa.Context.from_dict(settings) as context,
            c2pa.Builder.from_json(json.dumps(definition(picture, engine)), context) as builder,
            video.open("rb") as source,
            _Target(io.FileIO(signed, "w+")) as target,
        ):
            builder.sign(signer, MIME_TYPE, source, target)
        _check(signed)
        signed.replace(video)
    except c2pa.C2paError as error:
        logger.error("the video could not be signed: %s", error)
        refused = OS_ERROR.search(str(error))
        number = int(refused[1]) if refused else target.refused_with if target else None
        if number in DISK_ERRORS:
            raise work_disk_error(number) from error
        raise DeliveryFailed("video_unsigned") from error
    except OSError as error:
        raise unwritable_video(error.errno, error.strerror) from error
    finally:
        signed.unlink(missing_ok=True)


class _Target(io.BufferedRandom):
    """A file that remembers what it could not write: c2pa says only that something failed.

    Attributes:
        refused_with: The last refusal's `errno`.
    """

    refused_with: int | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.refused_with = error.errno
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.refused_with = error.errno
            raise


def definition(picture: Path, engine: str) -> dict[str, object]:
    """The claim, as c2pa's manifest definition."""
    return {
        "claim_generator_info": [{"name": PRODUCT, "version": __version__}],
        "title": TITLE,
        "format": MIME_TYPE,
        "ingredients": [
            {
                "label": PORTRAIT,
                "title": PORTRAIT,
                "relationship": "inputTo",
                "instance_id": f"sha256:{_digest(picture)}",
            }
        ],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "digitalSourceType": DIGITAL_SOURCE_TYPE,
                            "softwareAgent": {
                                "name": f"{PRODUCT}, engine {engine}",
                                "version": __version__,
                            },
                            "parameters": {"ingredientIds": [PORTRAIT]},
                        }
                    ]
                },
            }
        ],
    }


def _signer(credential: Credential) -> "c2pa.Signer":
    import c2pa  # noqa: PLC0415

    url = credential.timestamp_url
    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            alg=credential.algorithm,
            sign_cert=credential.chain,
            private_key=credential.key,
            ta_url=url.encode() if url else None,
        )
    )


def _check(signed: Path) -> None:
    """Read the manifest back: one that does not match its video is worse than none.

    Raises:
        DeliveryFailed: It does not.
    """
    with open_manifest(signed) as reader:
        if reader is None or reader.get_validation_state() == "Invalid":
            logger.error("the signed video is invalid: %s", reader and reader.json())
            raise DeliveryFailed("video_unsigned")


def _digest(path: Path) -> str:
    """SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
