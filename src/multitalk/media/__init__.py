"""Bytes to arrays and back: pictures, sound and video. PyAV is the one codec library."""
