"""Reads the provenance of any video: its plain metadata and its signed manifest.

Nothing is fetched: remote manifests and revoked certificates are not looked up,
and no list of trusted authorities is consulted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multitalk.media.label import Label, read_label

if TYPE_CHECKING:
    import c2pa

OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
UNREADABLE = "unreadable"  # in addition to C2PA's codes: the manifest itself is damaged
UNTRUSTED = "signingCredential.untrusted"  # trust is not judged here

Verdict = Literal["valid", "invalid", "absent", "unread"]


@dataclass(frozen=True)
class ManifestReport:
    """The latest claim about a video.

    Attributes:
        verdict: `valid`: signed by `signer`, who is not verified, and unchanged since; `absent`:
            there is none; `unread`: c2pa-python is not installed.
        problems: C2PA's codes of what makes it invalid.
        generator: The program that made the claim, and its version.
        actions: What was done, by C2PA's names, such as `c2pa.created`.
        digital_source_type: IPTC's URI in one of the actions.
        ingredients: Sources; in videos of this program the portrait's digest.
        signer: The name in the certificate.
        issuer: The organisation in it.
    """

    verdict: Verdict
    problems: tuple[str, ...] = ()
    generator: str | None = None
    actions: tuple[str, ...] = ()
    digital_source_type: str | None = None
    ingredients: tuple[str, ...] = ()
    signer: str | None = None
    issuer: str | None = None


@dataclass(frozen=True)
class Inspection:
    """Provenance of a video."""

    label: Label
    manifest: ManifestReport


def inspect_video(path: Path, *, field: str | None = None) -> Inspection:
    """Look at a video's plain metadata and its manifest.

    Raises:
        MediaUndecodable: Empty or of no known format.
    """
    label = read_label(path, field=field)
    if find_spec("c2pa") is None:
        return Inspection(label, ManifestReport("unread"))
    import c2pa  # noqa: PLC0415 - an extra

    try:
        with open_manifest(path) as reader:
            manifest = ManifestReport("absent") if reader is None else _manifest(reader)
    except c2pa.C2paError.NotSupported:
        manifest = ManifestReport("absent")  # no format that could hold one
    except c2pa.C2paError:
        manifest = ManifestReport("invalid", problems=(UNREADABLE,))
    return Inspection(label, manifest)


@contextmanager
def open_manifest(path: Path) -> Iterator["c2pa.Reader | None"]:
    """The manifests of a file, or None if it has none.

    Raises:
        c2pa.C2paError: They are damaged, or the file is of a format that holds none.
    """
    import c2pa  # noqa: PLC0415 - an extra

    with path.open("rb") as file, c2pa.Context.from_dict(OFFLINE) as context:
        reader = c2pa.Reader.try_create(None, file, context=context)
        try:
            yield reader
        finally:
            if reader is not None:
                reader.close()


def _manifest(reader: "c2pa.Reader") -> ManifestReport:
    active: dict[str, Any] = reader.get_active_manifest() or {}
    actions = _actions(active)
    source_types = (action.get("digitalSourceType") for action in actions)
    generator: dict[str, str] = next(iter(active.get("claim_generator_info", [])), {})
    signature = active.get("signature_info", {})
    return ManifestReport(
        verdict="invalid" if reader.get_validation_state() == "Invalid" else "valid",
        problems=_problems(reader),
        generator=" ".join(filter(None, map(generator.get, ("name", "version")))) or None,
        actions=tuple(action["action"] for action in actions),
        digital_source_type=next(filter(None, source_types), None),
        ingredients=tuple(
            ingredient["instance_id"]
            for ingredient in active.get("ingredients", [])
            if "instance_id" in ingredient
        ),
        signer=signature.get("common_name"),
        issuer=signature.get("issuer"),
    )


def _problems(reader: "c2pa.Reader") -> tuple[str, ...]:
    """C2PA's failure codes, except that the signer is not trusted, each once."""
    results = reader.get_validation_results() or {}
    failures = results.get("activeManifest", {}).get("failure", [])
    codes = dict.fromkeys(failure["code"] for failure in failures)
    codes.pop(UNTRUSTED, None)
    return tuple(codes)


def _actions(active: dict[str, Any]) -> list[dict[str, Any]]:
    """The actions of all action assertions of a manifest."""
    return [
        action
        for assertion in active.get("assertions", [])
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]
