"""`multitalk-weights.lock.json`: a record of what was fetched into a directory.

It avoids hashing tens of gigabytes at every start. Of the files that it locks, a later fetch takes
the same commit and the same bytes, or fails.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from multitalk.disk import write_atomically
from multitalk.errors import WeightsUnavailable
from multitalk.weights.sets import Sha256

LOCK_NAME = "multitalk-weights.lock.json"


class LockedFile(BaseModel):
    """Record of a whole file.

    Attributes:
        commit: Of the repository.
        etag: Of the hub: SHA-256 of large files, git's hash of small ones.
        size: Bytes.
        sha256: Of the content.
        locked: Whether a later fetch must get exactly this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    commit: str
    etag: str
    size: Annotated[int, Field(ge=0)]
    sha256: Sha256
    locked: bool = False


class Lockfile(BaseModel):
    """The files, by `ORGANISATION/NAME/path`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    files: dict[str, LockedFile] = {}


def read_lockfile(directory: Path) -> Lockfile:
    """The directory's lock file; an empty one if there is none.

    Raises:
        WeightsUnavailable: It exists and cannot be read.
    """
    try:
        text = (directory / LOCK_NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Lockfile()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise WeightsUnavailable(
            "weights_lock_unreadable", file=LOCK_NAME, reason=reason
        ) from error
    try:
        return Lockfile.model_validate_json(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise WeightsUnavailable(
            "weights_lock_unreadable", file=LOCK_NAME, reason=reason
        ) from error


def write_lockfile(directory: Path, lockfile: Lockfile) -> None:
    """Write the lock file atomically."""
    record = json.dumps(lockfile.model_dump(), indent=2, sort_keys=True) + "\n"
    write_atomically(directory / LOCK_NAME, record.encode())
