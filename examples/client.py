"""Ask a RunPod endpoint for a talking portrait, wait, and save the video. Standard library only.

RUNPOD_API_KEY=... python examples/client.py ENDPOINT portrait.jpg --text "Hello." -o talk.mp4
"""

import argparse
import base64
import json
import os
import sys
import time
import urllib.request
from pathlib import Path

POLL_SECONDS = 2.0
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")


class Endpoint:
    """One endpoint, at RunPod or wherever its protocol is spoken."""

    def __init__(self, endpoint_id: str, *, key: str, base_url: str) -> None:
        self._url = f"{base_url.rstrip('/')}/{endpoint_id}"
        self._key = key

    def run(self, job_input: dict[str, object]) -> str:
        """Queue a job; its id."""
        return str(self._call("POST", "run", {"input": job_input})["id"])

    def status(self, job_id: str) -> dict[str, object]:
        """How the job is."""
        return self._call("GET", f"status/{job_id}")

    def wait(self, job_id: str) -> dict[str, object]:
        """The job's last status, telling its progress on stderr."""
        while (job := self.status(job_id))["status"] not in FINAL:
            sys.stderr.write(f"{job['status']} {job.get('output') or ''}\n")
            time.sleep(POLL_SECONDS)
        return job

    def _call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        request = urllib.request.Request(  # noqa: S310 - the address is the user's own
            f"{self._url}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            record: dict[str, object] = json.load(answer)
            return record


def as_base64(path: Path) -> str:
    """A file as a job's input can carry it."""
    return base64.b64encode(path.read_bytes()).decode()


def save_video(output: dict[str, str], path: Path) -> None:
    """Keep the video of a job's output, which is in it or at an address."""
    if "video_base64" in output:
        path.write_bytes(base64.b64decode(output["video_base64"]))
    elif "video_url" in output:
        urllib.request.urlretrieve(output["video_url"], path)  # noqa: S310
    else:
        sys.exit(f"The video is on the endpoint's volume: {output['video_path']}")


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint", help="the endpoint's id")
    parser.add_argument("portrait", type=Path)
    voices = parser.add_mutually_exclusive_group(required=True)
    voices.add_argument("--text", help="what the person says")
    voices.add_argument("--audio", type=Path, help="a recording of what the person says")
    parser.add_argument("--output", "-o", type=Path, default=Path("talk.mp4"))
    parser.add_argument("--url", default="https://api.runpod.ai/v2")
    options = parser.parse_args()

    endpoint = Endpoint(
        options.endpoint, key=os.environ.get("RUNPOD_API_KEY", ""), base_url=options.url
    )
    voice = {"text": options.text} if options.text else as_base64(options.audio)
    job_id = endpoint.run(
        {
            "prompt": "A person talks to the camera.",
            "image_path": as_base64(options.portrait),
            "audio_paths": {"person1": voice},
        }
    )
    job = endpoint.wait(job_id)
    if job["status"] != "COMPLETED":
        sys.exit(f"{job['status']}: {job.get('error', 'no reason given')}")
    save_video(job["output"], options.output)  # type: ignore[arg-type]
    sys.stdout.write(f"{options.output}\n")


if __name__ == "__main__":
    main()
