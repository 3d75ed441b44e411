"""The claims of a video's manifest (C2PA 2.2), and signing it into the finished file.

The manifest says: created, from trained algorithmic media, by this program and engine, with a
picture that is named by its digest only. No name, prompt, text, address or file name is in it.
Manifests of the picture and of recorded voices become ingredients.
"""

import hashlib
import io
import json
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multitalk.disk import DISK_ERRORS, unwritable_video, work_disk_error
from multitalk.errors import DeliveryFailed
from multitalk.media.label import DIGITAL_SOURCE_TYPE, PRODUCT
from multitalk.messages import Notice, sentence
from multitalk.provenance.credential import Credential
from multitalk.provenance.inspection import OFFLINE, open_manifest
from multitalk.provenance.timestamp import TIMESTAMP_SECONDS, Relay, relay
from multitalk.version import __version__

if TYPE_CHECKING:
    import c2pa
    from _typeshed import ReadableBuffer

MIME_TYPE = "video/mp4"
TITLE = "AI-generated video"
PORTRAIT = "portrait"
PICTURE_FIELD = "image_path"  # of the request
# Hashing in leaves of this size bounds the memory: without them the library holds the whole video.
# Correct for files with one `mdat` box, as here; for several, c2pa 0.91 writes wrong hashes.
LEAF_KIB = 1024
# The library's copies of a larger video are files without a name in the system's temporary
# directory; of a smaller one they are in memory.
IN_MEMORY_MIB = 8
READ_BYTES = 2**20
MAX_MANIFEST_BYTES = 4 * 2**20  # with those of the sources, and those that they have in turn
# A manifest begins near the beginning of a file or, in a WAV file, is its last part.
SEARCHED_BYTES = 2**20, MAX_MANIFEST_BYTES + 2**20
SETTINGS = {
    **OFFLINE,
    "core": {
        "merkle_tree_chunk_size_in_kb": LEAF_KIB,
        "backing_store_memory_threshold_in_mb": IN_MEMORY_MIB,
    },
    "builder": {"thumbnail": {"enabled": False}},
}
OS_ERROR = re.compile(r"\(os error (\d+)\)")  # in an error of the library's own files

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Ingredient:
    """A file that a video was made from.

    Attributes:
        label: Its name in the manifest.
        path: Where it is.
        field: The request's, that it came in.
        has_manifest: Whether it carries a manifest, intact or not.
    """

    label: str
    path: Path
    field: str
    has_manifest: bool


def sign_video(
    video: Path,
    credential: Credential,
    *,
    picture: Path,
    engine: str,
    recordings: Mapping[str, Path] | None = None,
) -> tuple[Notice, ...]:
    """Put a signed manifest into a finished MP4, in its place: signed whole, or as it was.

    Not for a fragmented one, whose pieces are gone before it could be signed. A time stamp or the
    sources' own manifests that cannot be had are left out, with notices.

    Args:
        video: The file; pictures and sound stay as they are.
        credential: What it is signed with.
        picture: What the video was made from. Its digest goes into the manifest, and its own
            manifest if it has one.
        engine: The engine's name.
        recordings: Files of voices, by the request's field. Those with a manifest go into the
            video's with it; of the others it says nothing.

    Raises:
        DeliveryFailed: It could not be signed, or the signature does not fit.
        DiskUnusable: A disk took nothing more.
    """
    signed = video.with_name(f"{video.name}.signed")
    sources = _sources(picture, recordings or {})
    try:
        plan = _sign_by_first_plan(video, signed, credential, sources, engine)
        signed.replace(video)
    except OSError as error:
        raise unwritable_video(error.errno, error.strerror) from error
    finally:
        signed.unlink(missing_ok=True)
    notices = []
    if credential.timestamp_url and not plan.is_stamped:
        notices.append(Notice("timestamp_missing", {"seconds": TIMESTAMP_SECONDS}))
    if not plan.keeps_manifests:
        notices.extend(_not_kept(source.field) for source in sources if source.has_manifest)
    for notice in notices:
        logger.warning("%s", sentence(notice.key, "en", **notice.parameters))
    return tuple(notices)


def lost_manifests(picture: Path, recordings: Mapping[str, Path]) -> tuple[Notice, ...]:
    """A notice for each source that seems to carry a manifest, where the video gets none."""
    files = {PICTURE_FIELD: picture, **recordings}
    return tuple(_not_kept(field) for field, path in files.items() if may_have_manifest(path))


def _not_kept(field: str) -> Notice:
    return Notice("manifest_not_kept", {"field": field})


def may_have_manifest(path: Path) -> bool:
    """True if a file seems to carry a C2PA manifest, by the names of its boxes."""
    first, last = SEARCHED_BYTES
    with path.open("rb") as file:
        pieces = [file.read(first)]
        file.seek(max(first, path.stat().st_size - last))
        pieces.append(file.read(last))
    return any(b"jumb" in piece and b"c2pa" in piece for piece in pieces)


def _has_manifest(path: Path) -> bool:
    """True if a file carries a C2PA manifest, intact or not."""
    if not may_have_manifest(path):
        return False
    import c2pa  # noqa: PLC0415 - an extra

    try:
        with open_manifest(path) as reader:
            return reader is not None
    except c2pa.C2paError.NotSupported:
        return False
    except c2pa.C2paError:
        return True


def _sources(picture: Path, recordings: Mapping[str, Path]) -> tuple[_Ingredient, ...]:
    """The picture, and the recordings that have a manifest."""
    voices = [
        _Ingredient(f"voice {number}", path, field, has_manifest=True)
        for number, (field, path) in enumerate(recordings.items(), start=1)
        if _has_manifest(path)
    ]
    return _Ingredient(PORTRAIT, picture, PICTURE_FIELD, _has_manifest(picture)), *voices


@dataclass(frozen=True)
class _Plan:
    """The parts of a manifest besides its claims."""

    is_stamped: bool
    keeps_manifests: bool


def _sign_by_first_plan(
    video: Path,
    signed: Path,
    credential: Credential,
    sources: Sequence[_Ingredient],
    engine: str,
) -> _Plan:
    """Sign by the first plan that succeeds; an error of the last one is raised."""
    url = credential.timestamp_url
    with relay(url) if url else nullcontext(Relay()) as stamps:

        def sign(plan: _Plan) -> _Plan:
            stamp_url = stamps.url if plan.is_stamped else None
            builder = _Builder(sources, engine, keeps_manifests=plan.keeps_manifests)
            builder.sign(video, signed, replace(credential, timestamp_url=stamp_url))
            return plan

        has_manifest = any(source.has_manifest for source in sources)
        *others, last = _plans(has_manifest=has_manifest, has_stamps=url is not None)
        for plan in others:
            if not (plan.is_stamped and stamps.has_failed):
                with suppress(DeliveryFailed):
                    return sign(plan)
        return sign(last)


def _plans(*, has_manifest: bool, has_stamps: bool) -> list[_Plan]:
    """The plans to try, in this order, until one succeeds."""
    stamped = (True, False) if has_stamps else (False,)
    keeping = (True, False) if has_manifest else (False,)
    return [_Plan(*plan) for plan in product(stamped, keeping)]


class _Builder:
    """Signs one video.

    Args:
        sources: What it was made from.
        engine: The engine's name.
        keeps_manifests: Whether the sources' own manifests go into the video's.
    """

    def __init__(
        self, sources: Sequence[_Ingredient], engine: str, *, keeps_manifests: bool
    ) -> None:
        self._kept = [source for source in sources if source.has_manifest and keeps_manifests]
        plain = [sources[0]] if sources[0] not in self._kept else []  # the picture
        self._definition = definition([*plain, *self._kept], engine)
        self._definition["ingredients"] = [_ingredient(source) for source in plain]

    def sign(self, video: Path, signed: Path, credential: Credential) -> None:
        """Write the signed copy of a video.

        Raises:
            DeliveryFailed: It could not be signed, or the signature does not fit.
            DiskUnusable: A disk took nothing more.
        """
        import c2pa  # noqa: PLC0415 - an extra

        target: _Target | None = None
        try:
            with (
                _signer(credential) as signer,
                c2pa.Context.from_dict(SETTINGS) as context,
                c2pa.Builder.from_json(json.dumps(self._definition), context) as builder,
                video.open("rb") as source,
                _Target(io.FileIO(signed, "w+")) as target,
            ):
                self._keep_manifests(builder)
                builder.sign(signer, MIME_TYPE, source, target)
            _check(signed)
        except c2pa.C2paError as error:
            logger.error("the video could not be signed: %s", error)
            refused = OS_ERROR.search(str(error))
            number = int(refused[1]) if refused else target.refused_with if target else None
            if number in DISK_ERRORS:
                raise work_disk_error(number) from error
            raise DeliveryFailed("video_unsigned") from error
        if signed.stat().st_size - video.stat().st_size > MAX_MANIFEST_BYTES and self._kept:
            logger.warning("the sources' manifests are larger than %d bytes", MAX_MANIFEST_BYTES)
            raise DeliveryFailed("video_unsigned")

    def _keep_manifests(self, builder: "c2pa.Builder") -> None:
        for source in self._kept:
            media_format = source.path.suffix[1:].lower() or "jpg"
            with source.path.open("rb") as file:
                builder.add_ingredient(json.dumps(_ingredient(source)), media_format, file)


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


def _ingredient(source: _Ingredient) -> dict[str, Any]:
    """A source, in c2pa's own form."""
    return {
        "label": source.label,
        "title": source.label,
        "relationship": "inputTo",
        "instance_id": f"sha256:{_digest(source.path)}",
    }


def definition(sources: Sequence[_Ingredient], engine: str) -> dict[str, Any]:
    """The claims in c2pa's own form, without the ingredients."""
    return {
        "claim_generator_info": [{"name": PRODUCT, "version": __version__}],
        "title": TITLE,
        "format": MIME_TYPE,
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
                            "parameters": {"ingredientIds": [source.label for source in sources]},
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
