"""A signed manifest in each video (C2PA): who made it, by what, and that nothing changed since.

    credential   the operator's certificate and key, or a local one
    manifest     the claim, and signing it into a finished video
    timestamp    relay to a time-stamping authority, limited in time
    marks        search for the watermark in a file
    inspection   reads the provenance of any file

c2pa-python, an extra, does the work. Without it videos carry plain metadata only (`media.label`).
"""

from multitalk.provenance.credential import Credential, load_credential
from multitalk.provenance.inspection import Inspection, inspect_video
from multitalk.provenance.manifest import lost_manifests, sign_video

__all__ = [
    "Credential",
    "Inspection",
    "inspect_video",
    "load_credential",
    "lost_manifests",
    "sign_video",
]
