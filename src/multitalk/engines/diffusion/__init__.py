"""MultiTalk on PyTorch and diffusers: a video diffusion transformer conditioned on speech.

The only package, with `speech/wav2vec2`, that imports torch, diffusers and transformers.
"""
