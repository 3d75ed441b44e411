"""A signed manifest in each video (C2PA): who made it, by what, and that nothing changed since.

    credential          the operator's certificate and key, or this machine's own
    local_certificate   making the latter
    manifest            what is claimed, and signing it into a finished video
    inspection          what a video says of where it comes from, ours or not

c2pa-python, an extra, does the work. Without it videos carry plain metadata only (`media.label`).
"""

from multitalk.provenance.credential import Credential, prepare
from multitalk.provenance.inspection import Inspection, inspect_video
from multitalk.provenance.manifest import sign_video

__all__ = ["Credential", "Inspection", "inspect_video", "prepare", "sign_video"]
