"""MultiTalk on PyTorch and diffusers: a video diffusion transformer that listens.

The only package, beside `speech/wav2vec2`, that imports torch, diffusers and transformers.
"""
