"""The tensors by which each architecture is recognised: the smallest lists that carry the library's evidence."""

from __future__ import annotations

from sdrest.core.architecture import Architecture
from sdrest.core.model import ModelType

Shapes = dict[str, tuple[int, ...]]
D = "model.diffusion_model."
_CLIP_L = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
_XL_L = "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight"
_XL_G = "conditioner.embedders.1.model.token_embedding.weight"
_SD2 = "cond_stage_model.model.token_embedding.weight"
_MIDDLE = D + "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
_TEXT_SHAPE = {768: (49408, 768), 1024: (49408, 1024)}


def _unet(channels: int, context: int, *, middle: bool = True, **more: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {D + "input_blocks.0.0.weight": (320, channels, 3, 3)}
    shapes[D + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"] = (320, context)
    if middle:
        shapes[_MIDDLE] = (1280, context)
    return shapes | {D + name: shape for name, shape in more.items()}


def _sd1(channels: int = 4, **more: object) -> Shapes:
    return _unet(channels, 768, **more) | {_CLIP_L: (49408, 768)}  # type: ignore[arg-type]


def _sd2(channels: int = 4, **more: object) -> Shapes:
    return _unet(channels, 1024, **more) | {_SD2: (49408, 1024)}  # type: ignore[arg-type]


def _sdxl(channels: int = 4, **more: object) -> Shapes:
    return _unet(channels, 2048, **more) | {_XL_L: (49408, 768), _XL_G: (49408, 1280)}  # type: ignore[arg-type]


def _flux(inputs: int, **more: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {D + "img_in.weight": (3072, inputs), D + "txt_in.weight": (3072, 4096)}
    shapes[D + "double_blocks.0.img_attn.qkv.weight"] = (9216, 3072)
    shapes[D + "double_blocks.0.txt_attn.norm.key_norm.scale"] = (128,)
    return shapes | {D + name.replace("__", "."): shape for name, shape in more.items()}


def _wan(layers: int, patch: tuple[int, ...], **more: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {D + "patch_embedding.weight": patch, D + "text_embedding.0.weight": (patch[0], 4096)}
    for index in range(layers):
        shapes[D + f"blocks.{index}.cross_attn.norm_k.weight"] = (patch[0],)
    return shapes | {D + name.replace("__", "."): shape for name, shape in more.items()}


_SINGLE_BLOCKS = {f"single_blocks__{index}__linear1__weight": (8, 8) for index in range(48)}
EVIDENCE: dict[Architecture, Shapes] = {
    Architecture.SD1: _sd1(),
    Architecture.SD1_INPAINT: _sd1(9),
    Architecture.SD1_PIX2PIX: _sd1(8),
    Architecture.SD1_TINY_UNET: _sd1(middle=False) | {D + "output_blocks.7.1.norm.weight": (640,)},
    Architecture.SDXS_512_DS: _sd1(middle=False),
    Architecture.SD2: _sd2(),
    Architecture.SD2_INPAINT: _sd2(9),
    Architecture.SD2_TINY_UNET: _sd2(middle=False),
    Architecture.SDXS_09: _sd2(middle=False)
    | {D + "output_blocks.7.1.transformer_blocks.0.attn1.to_k.weight": (640, 1024)},
    Architecture.SDXL: _sdxl(),
    Architecture.SDXL_INPAINT: _sdxl(9),
    Architecture.SDXL_PIX2PIX: _sdxl(8),
    Architecture.SDXL_VEGA: _sdxl(middle=False),
    Architecture.SDXL_SSD1B: _sdxl(middle=False) | {D + "output_blocks.3.1.transformer_blocks.1.norm1.weight": (640,)},
    Architecture.SVD: _unet(8, 1024) | {D + "input_blocks.8.0.time_mixer.mix_factor": (1,)},
    Architecture.SD3: {D + "joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536)},
    Architecture.FLUX: _flux(64),
    Architecture.FLUX_FILL: _flux(384),
    Architecture.FLUX_CONTROLS: _flux(128),
    Architecture.FLEX_2: _flux(196),
    Architecture.CHROMA: _flux(64, distilled_guidance_layer__in_proj__weight=(5120, 64)),
    Architecture.CHROMA_RADIANCE: _flux(64, nerf_final_layer_conv__conv__weight=(3, 64, 3, 3)),
    Architecture.WAN2: _wan(30, (1536, 16, 1, 2, 2)),
    Architecture.WAN2_2_I2V: _wan(40, (5120, 36, 1, 2, 2)),
    Architecture.WAN2_2_TI2V: _wan(30, (3072, 48, 1, 2, 2)),
    Architecture.QWEN_IMAGE: {
        D + "transformer_blocks.0.img_mod.1.weight": (18432, 3072),
        D + "txt_in.weight": (3072, 3584),
    },
    Architecture.ANIMA: {
        D + "llm_adapter.blocks.0.cross_attn.q_proj.weight": (1024, 1024),
        D + "blocks.0.self_attn.q_proj.weight": (2048, 2048),
    },
    Architecture.FLUX2: _flux(128, double_stream_modulation_img__lin__weight=(36864, 6144), **_SINGLE_BLOCKS),
    Architecture.FLUX2_KLEIN: _flux(128, double_stream_modulation_img__lin__weight=(18432, 3072)),
    Architecture.Z_IMAGE: {D + "cap_embedder.0.weight": (2560,), D + "cap_embedder.1.weight": (3840, 2560)},
    Architecture.OVIS_IMAGE: _flux(64, double_blocks__0__img_mlp__gate_proj__weight=(12288, 3072)),
    Architecture.ERNIE_IMAGE: {D + "layers.0.adaLN_sa_ln.weight": (4096,), D + "text_proj.weight": (4096, 3072)},
}

#: Components and add-ons, by the type they must be recognised as.
PARTS: dict[str, tuple[ModelType, Shapes]] = {
    "clip_l": (ModelType.CLIP_L, {"text_model.embeddings.token_embedding.weight": (49408, 768)}),
    "clip_g": (ModelType.CLIP_G, {"text_model.embeddings.token_embedding.weight": (49408, 1280)}),
    "t5": (
        ModelType.T5XXL,
        {"shared.weight": (32128, 4096), "encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096)},
    ),
    "umt5 by llama.cpp": (
        ModelType.T5XXL,
        {"token_embd.weight": (256384, 4096), "enc.blk.0.attn_q.weight": (4096, 4096)},
    ),
    "qwen": (
        ModelType.LLM,
        {"model.embed_tokens.weight": (151936, 2560), "model.layers.0.self_attn.q_proj.weight": (4096, 2560)},
    ),
    "qwen by llama.cpp": (
        ModelType.LLM,
        {"token_embd.weight": (151936, 2560), "blk.0.attn_q.weight": (4096, 2560), "output_norm.weight": (2560,)},
    ),
    "vision projector": (ModelType.LLM_VISION, {"v.blk.0.attn_q.weight": (1280, 1280), "mm.0.weight": (5120, 5120)}),
    "clip vision": (
        ModelType.CLIP_VISION,
        {
            "vision_model.embeddings.patch_embedding.weight": (1280, 3, 14, 14),
            "vision_model.encoder.layers.0.layer_norm1.weight": (1280,),
        },
    ),
    "vae": (ModelType.VAE, {"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}),
    "wan vae": (
        ModelType.VAE,
        {
            "decoder.conv1.weight": (384, 16, 3, 3, 3),
            "conv2.weight": (16, 16, 1, 1, 1),
            "encoder.conv1.weight": (96, 3, 3, 3, 3),
        },
    ),
    "taesd": (ModelType.TAESD, {"decoder.layers.0.weight": (64, 4, 3, 3), "encoder.layers.0.weight": (64, 3, 3, 3)}),
    "taehv": (ModelType.TAESD, {"decoder.1.weight": (256, 16, 3, 3), "decoder.3.conv.0.weight": (256, 512, 3, 3)}),
    "controlnet": (
        ModelType.CONTROLNET,
        {
            "control_model.input_hint_block.0.weight": (16, 3, 3, 3),
            "control_model.zero_convs.0.0.weight": (320, 320, 1, 1),
            "control_model.input_blocks.0.0.weight": (320, 4, 3, 3),
            "control_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight": (1280, 768),
        },
    ),
    "esrgan": (
        ModelType.ESRGAN,
        {
            "conv_first.weight": (64, 3, 3, 3),
            "body.0.rdb1.conv1.weight": (32, 64, 3, 3),
            "conv_up1.weight": (64, 64, 3, 3),
            "conv_up2.weight": (64, 64, 3, 3),
        },
    ),
    "esrgan, first layout": (
        ModelType.ESRGAN,
        {
            "model.0.weight": (64, 3, 3, 3),
            "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3),
            "model.10.weight": (3, 64, 3, 3),
        },
    ),
    "lora": (
        ModelType.LORA,
        {
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 768),
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (320, 8),
        },
    ),
    "lokr": (ModelType.LORA, {"lycoris_unet_x.lokr_w1": (8, 8), "lycoris_unet_x.lokr_w2": (8, 8)}),
    "embedding": (ModelType.EMBEDDING, {"emb_params": (4, 768)}),
    "xl embedding": (ModelType.EMBEDDING, {"clip_l": (4, 768), "clip_g": (4, 1280)}),
    "photomaker": (
        ModelType.PHOTOMAKER,
        {
            "fuse_module.mlp1.fc1.weight": (2048, 4096),
            "vision_model.encoder.layers.0.layer_norm1.weight": (1024,),
            "lora_weights.unet.x.lora_A.weight": (8, 8),
        },
    ),
}
