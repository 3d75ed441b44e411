"""Statements in a video about its origin: plain metadata, signed manifest, watermarks.

Nothing is fetched: remote manifests and revoked certificates are not looked up,
and no list of trusted authorities is consulted.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multitalk.errors import LimitExceeded, MediaUndecodable
from multitalk.media.label import Label, read_label, read_picture_label
from multitalk.messages import Locale, Notice, Translated, sentence
from multitalk.provenance.marks import find_mark_in_picture, find_marks
from multitalk.watermark.detection import Finding

if TYPE_CHECKING:
    import c2pa

OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
UNREADABLE = "unreadable"  # in addition to C2PA's codes: the manifest itself is damaged
UNTRUSTED = "signingCredential.untrusted"  # trust is not judged here

PLACES = {
    "picture": Translated("picture", ko="화면"),
    "sound": Translated("sound", ko="소리"),
    "picture_and_sound": Translated("picture and its sound", ko="화면과 소리"),
}
# IPTC's terms of what a machine made, or had a part in.
SOURCE_TYPES = {
    f"http://cv.iptc.org/newscodes/digitalsourcetype/{name}"
    for name in (
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "algorithmicMedia",
        "compositeSynthetic",
    )
}
MOST_DIGITS = 12  # of "one file in 1,000,000": smaller probabilities are not distinguished

Verdict = Literal["valid", "invalid", "absent", "unread"]
Basis = Literal["watermark", "manifest", "label", "nothing"]

CONCLUSIONS: Mapping[Basis, str] = {
    "watermark": "inspection_watermark",
    "manifest": "inspection_manifest",
    "label": "inspection_label",
    "nothing": "inspection_nothing",
}
VERDICTS: Mapping[Verdict, str] = {
    "valid": "manifest_valid",
    "invalid": "manifest_invalid",
    "absent": "manifest_absent",
    "unread": "manifest_unread",
}


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
    """All statements in a video about its origin.

    Attributes:
        label: Its plain metadata.
        manifest: Its latest signed claim.
        marks: What was found in its picture and its sound, for those of the two that it has.
    """

    label: Label
    manifest: ManifestReport
    marks: tuple[Finding, ...]

    @property
    def basis(self) -> Basis:
        """The strongest evidence that the video was made by a machine."""
        if any(finding.is_marked for finding in self.marks):
            return "watermark"
        if self.manifest.verdict == "valid" and self.manifest.digital_source_type in SOURCE_TYPES:
            return "manifest"
        return "label" if self.label.digital_source_type in SOURCE_TYPES else "nothing"

    def conclusion(self) -> Notice:
        """One sentence: the origin of the video, and the evidence for it."""
        places = [finding.where for finding in self.marks if finding.is_marked]
        key = "picture_and_sound" if len(places) > 1 else "".join(places)
        parameters = {"where": PLACES[key]} if places else {}
        return Notice(CONCLUSIONS[self.basis], parameters)

    def reply(self, locale: Locale) -> dict[str, Any]:
        """All of it as JSON, with sentences in a language."""
        return {
            "conclusion": _said(self.conclusion(), locale),
            "basis": self.basis,
            "marks": [
                {
                    "where": finding.where,
                    "is_marked": finding.is_marked,
                    "chance": finding.chance,
                    "payload": asdict(finding.payload)
                    if finding.is_marked and finding.payload
                    else None,
                    "text": _said(describe(finding), locale),
                }
                for finding in self.marks
            ],
            "manifest": {
                **asdict(self.manifest),
                "text": _said(Notice(VERDICTS[self.manifest.verdict], {}), locale),
            },
            "label": asdict(self.label),
        }


def inspect_video(path: Path, *, field: str | None = None) -> Inspection:
    """Look at the plain metadata, the manifest and the watermarks of a video, sound or picture.

    Raises:
        MediaUndecodable: Empty or of no known format.
    """
    try:
        label = read_label(path, field=field)
    except MediaUndecodable as error:
        try:
            finding = find_mark_in_picture(path, field=field)
        except (LimitExceeded, MediaUndecodable):
            raise error from None
        return Inspection(read_picture_label(path), read_manifest(path), (finding,))
    return Inspection(label, read_manifest(path), find_marks(path, field=field))


def describe(finding: Finding) -> Notice:
    """One sentence: the mark found in a picture or a sound, and the certainty."""
    if not finding.is_marked:
        return Notice("mark_absent", {})
    digits = math.floor(-math.log10(max(finding.chance, 10.0**-MOST_DIGITS)))
    files = f"{10**digits:,}"
    if finding.payload is None:
        return Notice("mark_unreadable", {"files": files})
    payload = finding.payload
    version = f"{payload.major}.{payload.minor}"
    return Notice("mark_found", {"version": version, "talk": payload.talk, "files": files})


def _said(notice: Notice, locale: Locale) -> str:
    return sentence(notice.key, locale, **notice.parameters)


def read_manifest(path: Path) -> ManifestReport:
    """The claims of a file's manifest, if it has one, and its trust."""
    if find_spec("c2pa") is None:
        return ManifestReport("unread")
    import c2pa  # noqa: PLC0415 - an extra

    try:
        with open_manifest(path) as reader:
            return ManifestReport("absent") if reader is None else _manifest(reader)
    except c2pa.C2paError.NotSupported:
        return ManifestReport("absent")  # no format that could hold one
    except c2pa.C2paError:
        return ManifestReport("invalid", problems=(UNREADABLE,))


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
