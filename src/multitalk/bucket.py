"""A bucket at an S3-compatible service: its address, and the service's region and URL style.

Pure. Services differ in the region of the signature, and in whether the bucket's name is in the
host name or in the path; both follow from the service's address. That address is accepted in three
forms: the service, the bucket's host, and the bucket as the path.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

MAX_URL_SECONDS = 7 * 24 * 3600  # the longest that S3 signs
# The default of MinIO, Ceph and most others.
DEFAULT_REGION = "us-east-1"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_BUCKET = r"(?:(?P<bucket>[a-z0-9.-]+)\.)?"


@dataclass(frozen=True)
class Service:
    """One provider's hosts.

    Attributes:
        host: Pattern of host names, with groups `service` and optionally `bucket` and `region`.
        region: Region if the host name has none.
        capital_region: Whether regions are in capitals.
        name_in_host: Whether URLs have the bucket's name in the host name.
    """

    host: re.Pattern[str]
    region: str = DEFAULT_REGION
    capital_region: bool = False
    name_in_host: bool = False


SERVICES = (
    # Amazon, https://docs.aws.amazon.com/general/latest/gr/s3.html; it withdraws the path style
    Service(
        re.compile(
            _BUCKET + r"(?P<service>s3(?:-fips)?(?:[.-]dualstack)?"
            r"(?:[.-](?P<region>[a-z]{2}(?:-[a-z]+)+-\d+))?\.amazonaws\.com(?:\.cn)?)"
        ),
        name_in_host=True,
    ),
    # Cloudflare R2, https://developers.cloudflare.com/r2/api/s3/api/
    Service(
        re.compile(_BUCKET + r"(?P<service>[0-9a-f]{32}(?:\.[a-z]+)?\.r2\.cloudflarestorage\.com)"),
        region="auto",
    ),
    # RunPod's network volumes, https://docs.runpod.io/storage/s3-api: the region is the data centre
    Service(
        re.compile(r"(?P<service>s3api-(?P<region>[a-z0-9-]+)\.runpod\.io)"), capital_region=True
    ),
    # DigitalOcean, https://docs.digitalocean.com/products/spaces/how-to/use-aws-sdks/: us-east-1
    Service(re.compile(_BUCKET + r"(?P<service>[a-z]{3}\d\.digitaloceanspaces\.com)")),
    # Google
    Service(re.compile(_BUCKET + r"(?P<service>storage\.googleapis\.com)"), region="auto"),
    # Backblaze, Wasabi, Scaleway
    Service(
        re.compile(
            _BUCKET + r"(?P<service>s3\.(?P<region>[a-z]+-[a-z0-9-]+)"
            r"\.(?:backblazeb2\.com|wasabisys\.com|scw\.cloud))"
        )
    ),
    Service(re.compile(r"(?P<service>.*)")),  # any other
)


class BucketMisaddressed(ValueError):
    """An invalid address or name of a bucket.

    Attributes:
        part: `endpoint` or `name`.
    """

    def __init__(self, part: str, reason: str) -> None:
        self.part = part
        super().__init__(reason)


@dataclass(frozen=True)
class Bucket:
    """A bucket for results; `Bucket.at` makes one from an address."""

    endpoint_url: Annotated[
        str, "address of the S3-compatible service; may have the bucket's name in it"
    ]
    access_key_id: Annotated[str, "key that may write to the bucket and sign downloads"]
    secret_access_key: Annotated[str, "that key's secret; never logged"] = field(repr=False)
    name: Annotated[str, "the bucket itself, unless the address says it"]
    region: Annotated[str, "the service's region, where the address does not say it"] = (
        DEFAULT_REGION
    )
    prefix: Annotated[str, "folder in the bucket"] = ""
    url_seconds: Annotated[int, "how long a video's signed URL is good for, up to 7 days"] = (
        MAX_URL_SECONDS
    )
    name_in_host: bool = False  # URL style; False: the name is in the path
    public_only: bool = False  # named by a request: only a public host may be reached

    @classmethod
    def at(
        cls,
        endpoint_url: str,
        *,
        access_key_id: str,
        secret_access_key: str,
        name: str = "",
        region: str = "",
        prefix: str = "",
        url_seconds: int = MAX_URL_SECONDS,
        public_only: bool = False,
    ) -> "Bucket":
        """The bucket at an address, with the region and URL style of its service.

        Raises:
            BucketMisaddressed: No valid address, no valid name, or two names.
        """
        scheme, host, port, path_name = _read(endpoint_url)
        service, found = _service_of(host)
        parts = found.groupdict()
        only = _only_name(name, path_name, parts.get("bucket"))
        implied = parts.get("region") or service.region
        return cls(
            endpoint_url=f"{scheme}://{parts['service']}{port}",
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            name=only,
            region=region or (implied.upper() if service.capital_region else implied),
            prefix=prefix.strip("/"),
            url_seconds=url_seconds,
            # A certificate for *.service is not valid for a name with dots before it.
            name_in_host=service.name_in_host and "." not in only,
            public_only=public_only,
        )


def _only_name(*given: str | None) -> str:
    """The bucket's name, which may be given in several places."""
    names = set(filter(None, given))
    if len(names) > 1:
        raise BucketMisaddressed("name", f"two buckets: {' and '.join(sorted(names))}")
    if not names:
        raise BucketMisaddressed("name", "missing, and the address has none")
    (only,) = names
    if not _NAME.fullmatch(only):
        raise BucketMisaddressed("name", "not a bucket's name")
    return only


def _read(endpoint_url: str) -> tuple[str, str, str, str]:
    """Scheme, host, `:port` or nothing, and the bucket's name if it is the path."""
    try:
        url = urlsplit(endpoint_url.strip())
        port = f":{url.port}" if url.port else ""
    except ValueError as error:
        raise BucketMisaddressed("endpoint", "not an address") from error
    host = url.netloc.removesuffix(port)
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise BucketMisaddressed("endpoint", "write an address such as https://s3.example.com")
    path = url.path.strip("/")
    if "/" in path or url.query or url.fragment:
        raise BucketMisaddressed("endpoint", "nothing but a bucket's name may follow the host")
    return url.scheme, host.lower(), port, path


def _service_of(host: str) -> tuple[Service, re.Match[str]]:
    """The first of `SERVICES` whose pattern matches; the last matches every host."""
    matches = ((service, service.host.fullmatch(host)) for service in SERVICES)
    return next((service, found) for service, found in matches if found)
