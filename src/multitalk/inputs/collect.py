"""The one entry of `inputs`: a source of any form becomes a file that the job owns."""

from collections.abc import Callable
from pathlib import Path

from multitalk.inputs import fetch, local
from multitalk.inputs.intake import Intake, Kind
from multitalk.inputs.source import LocalPath, Url, parse_source
from multitalk.outbound.address import Resolver
from multitalk.outbound.lookup import system_resolver
from multitalk.settings import Settings


def collect(
    source: str,
    *,
    field: str,
    kind: Kind,
    directory: Path,
    settings: Settings,
    cancelled: Callable[[], bool] = lambda: False,
    resolve: Resolver = system_resolver,
) -> Path:
    """Fetch, decode or copy a source into `directory`.

    It is always a copy, local files included: what was judged is then what is decoded, whoever
    else may write to the original.

    Args:
        source: As the caller wrote it: URL, data URI, base64 or path.
        field: The request field it came from, such as `audio_paths.person1`, for errors.
        kind: `image`, `visual` (a picture or a video), or `speech` (sound, or a video whose sound
            is meant).
        directory: Exists and belongs to the job, which removes it.
        settings: Limits, allowed roots and whether loopback may be reached.
        cancelled: Asked again and again while waiting.
        resolve: Looks up a host's addresses.

    Returns:
        A new file in `directory`, of a known format of the right kind, named after that format.

    Raises:
        RequestError: With `field`; which of its kinds, `parse_source`, `fetch.download_into`,
            `local.read_into` and `Intake.write` say.
        Cancelled: `cancelled` said so.
    """
    parsed = parse_source(source, field=field)
    with Intake(directory, field=field, kind=kind, settings=settings) as intake:
        if isinstance(parsed, Url):
            fetch.download_into(
                intake,
                parsed.text,
                field=field,
                settings=settings,
                cancelled=cancelled,
                resolve=resolve,
            )
        elif isinstance(parsed, LocalPath):
            local.read_into(
                intake,
                parsed.text,
                field=field,
                roots=settings.allowed_roots,
                cancelled=cancelled,
            )
        else:
            intake.expect(parsed.num_bytes)
            intake.write(parsed.decode())
        return intake.keep()
