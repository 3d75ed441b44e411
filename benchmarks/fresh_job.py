"""One job in a new process, as after a cold start.

    python benchmarks/fresh_job.py REQUEST

Prints a line whenever frames have been rendered and taken by the writer, and at the end the most
memory that the process ever had, in bytes.
"""

import json
import resource
import sys
import tempfile
from pathlib import Path

from multitalk.job import Progress
from multitalk.local.studio import Studio
from multitalk.settings import Settings

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


def tell_frames(progress: Progress) -> None:
    """Say how many frames there are, at once."""
    if progress.stage == "render" and progress.done:
        print(progress.done, flush=True)


def main() -> None:
    """Render the talk that is named."""
    talk = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory() as name:
        studio = Studio("warp", settings=Settings())
        studio.render(**talk, output=Path(name) / "talk.mp4", on_progress=tell_frames)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT)


if __name__ == "__main__":
    main()
