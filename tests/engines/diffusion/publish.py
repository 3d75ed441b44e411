"""Writes a toy pipeline's weights as the real ones are published, names and all.

The names are written down here a second time, from the published files and not from our tables.
"""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from toy import toy_pipeline, toy_transformer

from multitalk.engines.diffusion.convert_transformer import to_published

SHARDS = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
INDEX = "diffusion_pytorch_model.safetensors.index.json"
T5 = "models_t5_umt5-xxl-enc-bf16.pth"
CLIP = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
VAE = "Wan2.1_VAE.pth"
WAN_CONFIG = {"_class_name": "WanModel", "num_heads": 2, "text_len": 8, "eps": 1e-6}


def publishable_pipeline():
    """A toy whose sizes the published formats can tell, and whose values their dtypes hold."""
    from diffusers import AutoencoderKLWan
    from transformers import CLIPVisionConfig, CLIPVisionModel

    pipeline = toy_pipeline()
    noise = torch.Generator().manual_seed(2)
    state = torch.random.get_rng_state()
    torch.manual_seed(1)
    pipeline.register_modules(
        transformer=toy_transformer(audio_feature_dim=2 * 14, image_dim=80),
        vae=AutoencoderKLWan(base_dim=4).eval(),
        image_encoder=CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=80,
                intermediate_size=24,
                num_hidden_layers=3,
                num_attention_heads=1,
                image_size=28,
                patch_size=14,
                hidden_act="gelu",
            )
        ).eval(),
    )
    torch.random.set_rng_state(state)
    with torch.no_grad():
        for network in (pipeline.image_encoder, pipeline.text_encoder):
            for parameter in network.parameters():  # norms at one and biases at zero prove nothing
                changed = parameter + 0.1 * torch.randn(parameter.shape, generator=noise)
                parameter.copy_(changed.half().bfloat16())
    return pipeline


def wan_text_names(state):
    """UMT5 under Wan's names."""
    parts = {
        "layer.0.layer_norm": "norm1",
        "layer.0.SelfAttention.relative_attention_bias": "pos_embedding.embedding",
        "layer.0.SelfAttention": "attn",
        "layer.1.layer_norm": "norm2",
        "layer.1.DenseReluDense.wi_0": "ffn.gate.0",
        "layer.1.DenseReluDense.wi_1": "ffn.fc1",
        "layer.1.DenseReluDense.wo": "ffn.fc2",
    }
    named = {}
    for key, values in state.items():
        name = key.replace("encoder.block.", "blocks.").replace("shared", "token_embedding")
        for ours, published in parts.items():
            name = name.replace(f".{ours}.", f".{published}.")
        if key != "encoder.embed_tokens.weight":
            named[name.replace("encoder.final_layer_norm", "norm")] = values
    return named


def wan_image_names(state):
    """CLIP's half that sees, under Wan's names, beside a little of the half that reads."""
    parts = {
        "embeddings.class_embedding": "cls_embedding",
        "embeddings.position_embedding.weight": "pos_embedding",
        "embeddings.patch_embedding": "patch_embedding",
        "pre_layrnorm": "pre_norm",
        "post_layernorm": "post_norm",
        "encoder.layers": "transformer",
        "layer_norm": "norm",
        "self_attn.out_proj": "attn.proj",
        "mlp.fc1": "mlp.0",
        "mlp.fc2": "mlp.2",
    }
    named = {"textual.token_embedding.weight": torch.zeros(4, 2), "log_scale": torch.zeros(())}
    named["visual.head"] = torch.zeros(80, 16)
    for key, values in state.items():
        name = key
        for ours, published in parts.items():
            name = name.replace(ours, published)
        if "q_proj" in name:
            roles = [state[key.replace("q_proj", f"{role}_proj")] for role in "qkv"]
            named["visual." + name.replace("self_attn.q_proj", "attn.to_qkv")] = torch.cat(roles)
        elif "k_proj" not in name and "v_proj" not in name:
            named[f"visual.{name}"] = values
    named["visual.cls_embedding"] = named["visual.cls_embedding"][None, None]
    named["visual.pos_embedding"] = named["visual.pos_embedding"][None]
    return named


def wan_vae_names(state):
    """The VAE under Wan's names: numbered layers, counted through all levels."""
    residual = {
        "norm1": "residual.0",
        "conv1": "residual.2",
        "norm2": "residual.3",
        "conv2": "residual.6",
        "conv_shortcut": "shortcut",
    }
    whole = {
        "mid_block.resnets.0": "middle.0",
        "mid_block.attentions.0": "middle.1",
        "mid_block.resnets.1": "middle.2",
        "norm_out": "head.0",
        "conv_out": "head.2",
        "conv_in": "conv1",
        "down_blocks": "downsamples",
    }
    named = {}
    for key, values in state.items():
        name = key
        if re.match(r"(encoder|decoder)\.(down|up|mid)_block", key):
            for ours, published in residual.items():
                name = name.replace(f".{ours}.", f".{published}.")
        for ours, published in whole.items():
            name = name.replace(ours, published)
        up = re.fullmatch(r"decoder\.up_blocks\.(\d)\.(resnets|upsamplers)\.(\d)\.(.+)", name)
        if up:
            number = 4 * int(up[1]) + (int(up[3]) if up[2] == "resnets" else 3)
            name = f"decoder.upsamples.{number}.{up[4]}"
        named[name.replace("post_quant_conv", "conv2").replace("quant_conv", "conv1")] = values
    return named


def quantize(tensors, storage, *, names=r".*blocks\..*"):
    """Linear weights as optimum-quanto stores them, and the weights that they stand for."""
    stored, meant = {}, dict(tensors)
    dtype, largest = {"int8": (torch.int8, 127), "fp8": (torch.float8_e4m3fn, 448)}[storage]
    for key, values in tensors.items():
        is_linear = key.endswith(".weight") and values.dim() == 2 and re.fullmatch(names, key)
        if not is_linear or "embedding" in key or "relative" in key:
            stored[key] = values
            continue
        scale = values.abs().amax(1, keepdim=True) / largest
        data = values / scale
        data = (data.round() if storage == "int8" else data).to(dtype)
        stored |= {f"{key}._data": data, f"{key}._scale": scale}
        for unused in ("input_scale", "output_scale"):
            stored[f"{key.removesuffix('weight')}{unused}"] = torch.ones(())
        meant[key] = data.float() * scale
    return stored, meant


def write_quantized(file, tensors, storage):
    stored, _ = quantize(tensors, storage)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: values.contiguous() for key, values in stored.items()}, file)
    modules = [key.removesuffix(".weight._data") for key in stored if key.endswith("_data")]
    file.with_suffix(".json").write_text(
        json.dumps({name: {"weights": f"q{storage}", "activations": "none"} for name in modules})
    )


def network_names(state):
    return {to_published(key): values for key, values in state.items()}


def is_audio(name):
    return "audio" in name or "norm_x" in name


def write_index(folder, weight_map):
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))


class Publisher:
    """Writes a pipeline's repositories into a directory.

    Attributes:
        pipeline: The toy.
        directory: Of weights.
        place: From a repository's `ORG/NAME` to its folder.
    """

    def __init__(self, pipeline, directory, place=lambda name: name.split("/")[1]):
        self.pipeline = pipeline
        self.directory = Path(directory)
        self.place = place

    def folder(self, repository):
        folder = self.directory / self.place(repository)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def common(self):
        """What every set opens: tokenizer, CLIP, VAE, wav2vec 2.0, the network's config."""
        wan = self.folder("Wan-AI/Wan2.1-I2V-14B-480P")
        (wan / "config.json").write_text(json.dumps(WAN_CONFIG))
        self.pipeline.tokenizer.save_pretrained(wan / "google" / "umt5-xxl")
        image = wan_image_names(self.pipeline.image_encoder.state_dict())
        torch.save({key: values.half() for key, values in image.items()}, wan / CLIP)
        torch.save(wan_vae_names(self.pipeline.vae.state_dict()), wan / VAE)
        self.speech()

    def speech(self):
        """As a whole pretraining network, under the names of weight norm's older form."""
        folder = self.folder("TencentGameMate/chinese-wav2vec2-base")
        self.pipeline.audio_encoder.save_pretrained(folder)
        older = {"parametrizations.weight.original0": "weight_g"}
        older["parametrizations.weight.original1"] = "weight_v"
        tensors = {"quantizer.codevectors": torch.zeros(1, 4, 2), "project_q.bias": torch.zeros(2)}
        for key, values in self.pipeline.audio_encoder.state_dict().items():
            name = key
            for new, old in older.items():
                name = name.replace(new, old)
            tensors[f"wav2vec2.{name}"] = values.contiguous()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    def text(self):
        wan = self.folder("Wan-AI/Wan2.1-I2V-14B-480P")
        state = wan_text_names(self.pipeline.text_encoder.state_dict())
        torch.save({key: values.bfloat16() for key, values in state.items()}, wan / T5)

    def base(self):
        wan = self.folder("Wan-AI/Wan2.1-I2V-14B-480P")
        state = network_names(self.pipeline.transformer.state_dict())
        names = [name for name in state if not is_audio(name)]
        weight_map = {}
        for shard, members in zip(SHARDS, (names[::2], names[1::2]), strict=True):
            save_file({name: state[name] for name in members}, wan / shard)
            weight_map |= dict.fromkeys(members, shard)
        write_index(wan, weight_map)

    def audio(self, repository, path):
        state = network_names(self.pipeline.transformer.state_dict())
        file = self.folder(repository) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: values for name, values in state.items() if is_audio(name)}, file)

    def network_in_8_bits(self, repository, path, storage):
        state = network_names(self.pipeline.transformer.state_dict())
        write_quantized(self.folder(repository) / path, state, storage)

    def text_in_8_bits(self, repository, storage):
        file = self.folder(repository) / "quant_models" / f"t5_{storage}.safetensors"
        write_quantized(file, wan_text_names(self.pipeline.text_encoder.state_dict()), storage)

    def weight_set(self, name):
        """One set by its name."""
        multitalk, infinitetalk = "MeiGen-AI/MeiGen-MultiTalk", "MeiGen-AI/InfiniteTalk"
        if name == "bf16-diffusers":
            self._for_diffusers()
            self.speech()
            self.audio(multitalk, "multitalk.safetensors")
            return
        self.common()
        storage = next((word for word in ("int8", "fp8") if word in name), None)
        people = "multi" if "multi" in name else "single"
        if storage is None:
            self.text()
            if name != "infinitetalk-pth":
                self.base()
        if name == "bf16":
            self.audio(multitalk, "multitalk.safetensors")
        elif name == "infinitetalk-pth":
            state = network_names(self.pipeline.transformer.state_dict())
            file = self.folder(infinitetalk) / "step_500.pth"
            torch.save({"state_dict": state}, file)
        elif storage is None:
            self.audio(infinitetalk, f"{people}/infinitetalk.safetensors")
        elif name.startswith("infinitetalk"):
            merged = "_lora" if name.endswith("fusionx") else ""
            path = f"quant_models/infinitetalk_{people}_{storage}{merged}.safetensors"
            self.network_in_8_bits(infinitetalk, path, storage)
            self.text_in_8_bits(infinitetalk, storage)
        else:
            fusionx = name.endswith("fusionx")
            stem = f"quant_model_{storage}_FusionX" if fusionx else f"dit_model_{storage}"
            self.network_in_8_bits(multitalk, f"quant_models/{stem}.safetensors", storage)
            self.text_in_8_bits(multitalk, storage)

    def _for_diffusers(self):
        folder = self.folder("Wan-AI/Wan2.1-I2V-14B-480P-Diffusers")
        for name in ("text_encoder", "tokenizer", "image_encoder", "image_processor", "vae"):
            options = {"max_shard_size": "4KB"} if name == "text_encoder" else {}
            getattr(self.pipeline, name).save_pretrained(folder / name, **options)
        network = folder / "transformer"
        network.mkdir()
        state = self.pipeline.transformer.state_dict()
        base = {name: values for name, values in state.items() if "audio" not in name}
        save_file(base, network / SHARDS[0])
        write_index(network, dict.fromkeys(base, SHARDS[0]))
        config = {"_class_name": "WanTransformer3DModel", "num_attention_heads": 2, "text_len": 8}
        (network / "config.json").write_text(json.dumps(config))
