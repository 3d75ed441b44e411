"""The diffusion engine's weights as files: the sets, fetching, verifying and finding them.

Of a file's content only the headers are read, and only `hub` connects to the hub.
"""
