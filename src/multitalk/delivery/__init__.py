"""How a video is handed over: inside the reply, in a bucket, or on the volume."""
