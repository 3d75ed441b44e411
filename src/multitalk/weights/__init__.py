"""The diffusion engine's weights as files: which, from where, whether they are whole, where found.

Nothing here knows what is inside a file, and only `hub` knows where one comes from.
"""
