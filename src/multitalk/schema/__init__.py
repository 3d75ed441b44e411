"""The wire contract: what a job may ask for, and what it answers.

The wire names are public and never change. Inside they become the field's own words, here and
nowhere else: see the properties of `TalkRequest`. `docs/api.md` says the same as tables, and
`docs/*.schema.json` as JSON Schema (`tools/write_schemas.py`).
"""

from multitalk.boxes import Box
from multitalk.choices import Quality, SpeakerOrder
from multitalk.schema.json_document import read_json
from multitalk.schema.request import (
    AudioType,
    Delivery,
    ProfileName,
    SpokenText,
    TalkRequest,
    parse_request,
    wanted_locale,
)
from multitalk.schema.result import (
    FILENAME,
    ErrorDetails,
    ErrorReply,
    JobStatus,
    Problem,
    TalkResult,
)
from multitalk.schema.s3_config import parse_s3_config

__all__ = [
    "FILENAME",
    "AudioType",
    "Box",
    "Delivery",
    "ErrorDetails",
    "ErrorReply",
    "JobStatus",
    "Problem",
    "ProfileName",
    "Quality",
    "SpeakerOrder",
    "SpokenText",
    "TalkRequest",
    "TalkResult",
    "parse_request",
    "parse_s3_config",
    "read_json",
    "wanted_locale",
]
