"""A source of any form (URL, data URI, base64, path) becomes a file the job owns, or an error."""

from multitalk.inputs.collect import collect

__all__ = ["collect"]
