"""Names of modules: those of the published Wan and MultiTalk files, and ours, which are diffusers'.

The tables are one to one, so that a name can be taken either way.
"""

import re
from collections.abc import Mapping

_MODEL = {
    "patch_embedding": "patch_embedding",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "head.modulation": "scale_shift_table",
    "head.head": "proj_out",
}

_BLOCK = {
    "modulation": "scale_shift_table",
    "self_attn.q": "attn1.to_q",
    "self_attn.k": "attn1.to_k",
    "self_attn.v": "attn1.to_v",
    "self_attn.o": "attn1.to_out.0",
    "self_attn.norm_q": "attn1.norm_q",
    "self_attn.norm_k": "attn1.norm_k",
    "cross_attn.q": "attn2.to_q",
    "cross_attn.k": "attn2.to_k",
    "cross_attn.v": "attn2.to_v",
    "cross_attn.o": "attn2.to_out.0",
    "cross_attn.k_img": "attn2.add_k_proj",
    "cross_attn.v_img": "attn2.add_v_proj",
    "cross_attn.norm_q": "attn2.norm_q",
    "cross_attn.norm_k": "attn2.norm_k",
    "cross_attn.norm_k_img": "attn2.norm_added_k",
    "norm3": "norm2",
    "norm_x": "norm_audio",
    "audio_cross_attn.q_linear": "audio_attn.to_q",
    "audio_cross_attn.kv_linear": "audio_attn.to_kv",
    "audio_cross_attn.proj": "audio_attn.to_out.0",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}

_IN_A_BLOCK = re.compile(r"(blocks\.\d+\.)(.+)")


def to_ours(name: str) -> str:
    """A published name of a module or parameter -> ours; any other name comes back as it is."""
    return _translate(name, _MODEL, _BLOCK)


def to_published(name: str) -> str:
    """Our name of a module or parameter -> the published one."""
    return _translate(
        name,
        {ours: published for published, ours in _MODEL.items()},
        {ours: published for published, ours in _BLOCK.items()},
    )


def translate(name: str, table: Mapping[str, str]) -> str:
    """A name of a module or parameter by the first line of a table that begins it, or unchanged."""
    for old, new in table.items():
        if name == old or name.startswith(f"{old}."):
            return new + name[len(old) :]
    return name


def _translate(name: str, model: Mapping[str, str], block: Mapping[str, str]) -> str:
    inside = _IN_A_BLOCK.fullmatch(name)
    if inside:
        return inside[1] + translate(inside[2], block)
    return translate(name, model)
