"""An S3 service and a video for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_service import S3Service, serving

VIDEO = bytes(range(256)) * 100


@pytest.fixture(scope="session")
def running_service() -> Iterator[S3Service]:
    with serving() as service:
        yield service


@pytest.fixture
def s3(running_service: S3Service) -> Iterator[S3Service]:
    """A service in order, with an empty bucket called `talks`."""
    fresh = S3Service()
    running_service.fault, running_service.clock = fresh.fault, fresh.clock
    client = running_service.client()
    client.create_bucket(Bucket="talks")
    running_service.operations.clear()
    running_service.body_sizes.clear()
    yield running_service
    running_service.fault, running_service.clock = fresh.fault, fresh.clock
    for upload in running_service.unfinished():
        client.abort_multipart_upload(
            Bucket="talks", Key=upload["Key"], UploadId=upload["UploadId"]
        )
    for item in client.list_objects_v2(Bucket="talks").get("Contents", []):
        client.delete_object(Bucket="talks", Key=item["Key"])
    client.delete_bucket(Bucket="talks")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "talk.mp4"
    path.write_bytes(VIDEO)
    return path
