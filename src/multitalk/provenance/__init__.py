"""A signed manifest in each video (C2PA): who made it, by what, and that nothing changed since.

    credential   the operator's certificate and key, or a local one
    manifest     the claim, and signing it into a finished video
    inspection   reads the provenance of any video

c2pa-python, an extra, does the work. Without it videos carry plain metadata only (`media.label`).
"""

from multitalk.provenance.credential import Credential, load_credential
from multitalk.provenance.inspection import Inspection, inspect_video
from multitalk.provenance.manifest import sign_video

__all__ = ["Credential", "Inspection", "inspect_video", "load_credential", "sign_video"]
