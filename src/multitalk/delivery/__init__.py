"""Delivery of a video: inside the reply, in a bucket, or on the volume."""
