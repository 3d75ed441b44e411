"""What a file is called when a browser saves it: by the first words that are said in it."""

import re
from urllib.parse import quote

from starlette.requests import Request

from multitalk.serving.queue import Job

MAX_CHARACTERS = 60
# What Windows, macOS or a shell would trip over in a file's name.
_REFUSED = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


def disposition(request: Request, job: Job, suffix: str) -> str:
    """A `Content-Disposition` (RFC 6266): to be shown, or saved if the query has `download=1`."""
    manner = "attachment" if request.query_params.get("download") == "1" else "inline"
    plain, named = f"talk-{job.id[:8]}{suffix}", filename(job, suffix)
    extended = "" if named == plain else f"; filename*=UTF-8''{quote(named, safe='')}"
    return f'{manner}; filename="{plain}"{extended}'


def filename(job: Job, suffix: str) -> str:
    """Its first words, or its id where none are known."""
    words = " ".join(_REFUSED.sub(" ", job.title).split())
    if len(words) > MAX_CHARACTERS:
        short = words[:MAX_CHARACTERS]
        words = short.rpartition(" ")[0] or short
    words = words.strip(" .")
    return (words or f"talk-{job.id[:8]}") + suffix
