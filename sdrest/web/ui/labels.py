"""The words of the pages that are not in a template: names of fields, states, phases and modes, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sdrest.core.job import JobState, JobType, Phase
from sdrest.core.model import ModelType
from sdrest.core.principal import Permission, Role
from sdrest.engine.supervisor import EngineState
from sdrest.jobs.family import Presence
from sdrest.web.ui.languages import Labels

#: Labels of form fields by dotted name; a field not listed is called by its last name part.
FIELD_LABELS: Final = Labels[str](
    {
        "prompt": "Prompt",
        "negative_prompt": "Negative prompt",
        "dynamic_prompts": "Draw {a|b} and __wildcards__",
        "prompt_source": "Drawn from",
        "negative_prompt_source": "Negative drawn from",
        "model": "Model",
        "width": "Width",
        "height": "Height",
        "steps": "Steps",
        "cfg_scale": "CFG scale",
        "img_cfg_scale": "Image CFG scale",
        "guidance": "Distilled guidance",
        "sampler": "Sampler",
        "scheduler": "Scheduler",
        "seed": "Seed",
        "batch_count": "Pictures",
        "clip_skip": "CLIP skip",
        "strength": "Strength",
        "eta": "Eta",
        "flow_shift": "Flow shift",
        "shifted_timestep": "Shifted timestep",
        "custom_sigmas": "Custom sigmas",
        "skip_layers.layers": "Skip layers",
        "skip_layers.start": "Skip from",
        "skip_layers.end": "Skip until",
        "skip_layers.scale": "Skip-layer guidance",
        "lora_apply_mode": "Apply LoRA",
        "init_image": "Picture",
        "mask_image": "Mask",
        "outpaint.left": "Border on the left",
        "outpaint.top": "Border at the top",
        "outpaint.right": "Border on the right",
        "outpaint.bottom": "Border at the bottom",
        "outpaint.feather": "Soft edge",
        "inpaint.only_masked": "Only the masked part",
        "inpaint.padding": "Padding",
        "inpaint.fill": "Begin with",
        "inpaint.blur": "Mask blur",
        "inpaint.keep": "Keep the rest",
        "control_image": "Control picture",
        "control_strength": "Control strength",
        "canny": "Make edges from the picture (Canny)",
        "ref_images": "Reference pictures",
        "auto_resize_ref_images": "Scale references to the picture",
        "increase_ref_index": "Number the references",
        "pm_id_images": "Photos of the person",
        "pm_style_strength": "Style strength (%)",
        "vae_model": "VAE",
        "taesd_model": "Tiny autoencoder",
        "clip_l_model": "CLIP-L",
        "clip_g_model": "CLIP-G",
        "t5xxl_model": "T5-XXL",
        "llm_model": "Language model",
        "llm_vision_model": "Language model, vision part",
        "clip_vision_model": "CLIP vision",
        "high_noise_model": "High-noise model",
        "control_net_model": "ControlNet",
        "photo_maker_model": "PhotoMaker",
        "vae_tiling.enabled": "Decode in tiles",
        "vae_tiling.tile_size_x": "Tile width",
        "vae_tiling.tile_size_y": "Tile height",
        "vae_tiling.target_overlap": "Tile overlap",
        "vae_tiling.rel_size_x": "Relative tile width",
        "vae_tiling.rel_size_y": "Relative tile height",
        "circular_x": "Tile horizontally",
        "circular_y": "Tile vertically",
        "speed": "Speed",
        "cache.mode": "Step cache",
        "cache.reuse_threshold": "Cache threshold",
        "cache.start_percent": "Cache from",
        "cache.end_percent": "Cache until",
        "hires.enabled": "Second pass at a larger size",
        "hires.upscaler": "Enlarge by",
        "hires.upscale_model": "Second-pass upscaler",
        "hires.scale": "Scale",
        "hires.steps": "Steps",
        "hires.strength": "Strength",
        "hires.target_width": "Second-pass width",
        "hires.target_height": "Second-pass height",
        "hires.tile_size": "Second-pass tile size",
        "upscale_model": "Upscaler",
        "upscale_factor": "Enlargement",
        "preview": "Preview while sampling",
        "output_format": "File format",
        "output_quality": "Quality",
        "embed_metadata": "Write parameters into the file",
        "image": "Picture",
        "tile_size": "Tile size",
        "video_frames": "Frames",
        "fps": "Frames a second",
        "video_format": "Format",
        "end_image": "Last frame",
        "control_frames": "Control frames",
        "high_noise.steps": "High-noise steps",
        "high_noise.cfg_scale": "High-noise CFG scale",
        "high_noise.sampler": "High-noise sampler",
        "moe_boundary": "Hand-over boundary",
        "vace_strength": "VACE strength",
        "upload.type": "Type",
        "upload.path": "Folder or name",
        "upload.sha256": "SHA-256",
        "upload.file": "File",
        "download.source": "Address",
        "download.type": "Type",
        "download.path": "Folder or name",
        "download.sha256": "SHA-256",
        "sha256": "SHA-256",
    }
)

#: Explanations of form fields that speak of other fields by their names on the page; the parameter table has the rest.
FIELD_HELP: Final = Labels[str](
    {
        "hires.upscale_model": "Taken where the second pass enlarges by a model.",
        "inpaint.only_masked": "Paints it alone, with the padding around it, at the size below, and puts it back.",
        "inpaint.keep": "What is not masked stays exactly as it is.",
        "canny": "Draws the outlines of the control picture, for ControlNets that want edges.",
    }
)

#: Units written behind a field.
FIELD_UNITS: Final[Mapping[str, str]] = {
    "width": "px",
    "height": "px",
    "inpaint.padding": "px",
    "inpaint.blur": "px",
    "output_quality": "%",
    "upscale_factor": "×",
    "hires.scale": "×",
}

STATE_LABELS: Final = Labels[JobState](
    {
        JobState.PENDING: "Waiting",
        JobState.RUNNING: "Running",
        JobState.COMPLETED: "Done",
        JobState.FAILED: "Failed",
        JobState.CANCELLED: "Cancelled",
    }
)

PHASE_LABELS: Final = Labels[Phase](
    {
        Phase.WAIT: "Starting",
        Phase.LOAD: "Loading the model",
        Phase.ENCODE: "Reading the prompt",
        Phase.SAMPLE: "Sampling",
        Phase.DECODE: "Decoding",
        Phase.UPSCALE: "Upscaling",
        Phase.SAVE: "Saving",
        Phase.WORK: "Working",
    }
)

JOB_LABELS: Final = Labels[JobType](
    {
        JobType.TXT2IMG: "Text to image",
        JobType.IMG2IMG: "Image to image",
        JobType.INPAINT: "Inpaint",
        JobType.CONTROLNET: "ControlNet",
        JobType.UPSCALE: "Upscale",
        JobType.VIDEO: "Video",
        JobType.CONVERT: "Convert a model",
        JobType.HASH: "Hash a model",
        JobType.DOWNLOAD: "Download a model",
        JobType.LOAD: "Load a model",
        JobType.LOAD_TEST: "Load a model for trial",
    }
)

#: What is said in the place of a picture that cannot be shown.
PRESENCE_LABELS: Final = Labels[Presence](
    {
        Presence.AWAITED: "Not made yet",
        Presence.BINNED: "In the bin",
        Presence.DELETED: "Was deleted",
    }
)

TYPE_LABELS: Final = Labels[ModelType](
    {
        ModelType.LORA: "LoRA",
        ModelType.CHECKPOINT: "Checkpoints",
        ModelType.VAE: "VAE",
        ModelType.PRESETS: "Presets",
        ModelType.PROMPTS: "Prompt templates",
        ModelType.NEG_PROMPTS: "Negative prompt templates",
        ModelType.TAESD: "Tiny autoencoders",
        ModelType.ESRGAN: "ESRGAN",
        ModelType.CONTROLNET: "ControlNet",
        ModelType.UPSCALER: "Upscalers",
        ModelType.EMBEDDING: "Embeddings",
        ModelType.DIFFUSION_MODEL: "Diffusion models",
        ModelType.CLIP_L: "CLIP-L",
        ModelType.CLIP_G: "CLIP-G",
        ModelType.T5XXL: "T5-XXL",
        ModelType.LLM: "Language models",
        ModelType.LLM_VISION: "Language models, vision",
        ModelType.CLIP_VISION: "CLIP vision",
        ModelType.PHOTOMAKER: "PhotoMaker",
    }
)

#: What one model of a type is called, where that is not what the type is.
ONE_LABELS: Final = Labels[ModelType](
    {
        **TYPE_LABELS.english,
        ModelType.CHECKPOINT: "Checkpoint",
        ModelType.PRESETS: "Preset",
        ModelType.PROMPTS: "Prompt template",
        ModelType.NEG_PROMPTS: "Negative prompt template",
        ModelType.TAESD: "Tiny autoencoder",
        ModelType.UPSCALER: "Upscaler",
        ModelType.EMBEDDING: "Embedding",
        ModelType.DIFFUSION_MODEL: "Diffusion model",
        ModelType.LLM: "Language model",
        ModelType.LLM_VISION: "Language model, vision",
    }
)

#: Explanations of the fields by which models are added.
TRANSFER_HELP: Final = Labels[str](
    {
        "upload.type": "Says which folder the file goes to.",
        "upload.path": "Within that folder; empty: the file's own name.",
        "upload.sha256": "Compared with the file when given.",
        "upload.file": "Nothing is overwritten; a file that is no model is refused.",
        "download.source": "A web address, hf:owner/repository/file@revision, civitai:VERSION, or a model's page on either site.",
        "download.type": "Says which folder the file goes to.",
        "download.path": "Within that folder; empty: the file's own name.",
        "download.sha256": "Empty: the one that the site tells, if it does.",
    }
)

#: What the model folders hold, by their keys.
FOLDER_LABELS: Final = Labels[str](
    {
        "checkpoints": "Checkpoint",
        "diffusion_models": "Diffusion model",
        "lora": "LoRA",
        "vae": "VAE",
        "controlnet": "ControlNet",
        "text_encoders": "Text encoder",
        "clip_vision": "CLIP vision",
        "embeddings": "Embedding",
        "esrgan": "ESRGAN",
        "upscaler": "Upscaler",
        "taesd": "Tiny autoencoder",
        "photomaker": "PhotoMaker",
        "presets": "Preset",
        "prompts": "Prompt template",
        "neg_prompts": "Negative prompt template",
    }
)

ENGINE_LABELS: Final = Labels[EngineState](
    {
        EngineState.STARTING: "Starting",
        EngineState.READY: "Ready",
        EngineState.UNAVAILABLE: "Unavailable",
    }
)

#: Keyed by the names that requests use.
ROLE_LABELS: Final = Labels[str]({Role.GUEST: "guest", Role.VIEWER: "viewer", Role.USER: "user", Role.ADMIN: "admin"})

PERMISSION_LABELS: Final = Labels[str](
    {
        Permission.VIEW: "view",
        Permission.GENERATE: "generate",
        Permission.MANAGE_MODELS: "manage models",
        Permission.MANAGE_QUEUE: "manage the queue",
        Permission.WORK: "work",
        Permission.ADMIN: "administer",
    }
)

#: What the words of the built-in model are.
WORD_KINDS: Final = Labels[str](
    {
        "things": "Things",
        "shapes": "Shapes",
        "colors": "Colours",
        "sizes": "Sizes",
        "counts": "Numbers",
        "relations": "Relations",
        "places": "Places",
        "times": "Times",
        "styles": "Styles",
    }
)

#: Titles of pages that tell an error, by status.
ERROR_TITLES: Final = Labels[int](
    {
        400: "That cannot be done like this",
        401: "Please sign in",
        403: "You may not do that",
        404: "There is nothing here",
        409: "That is not possible now",
        429: "The queue is full",
        503: "Not available at the moment",
    }
)

PREVIEW_LABELS: Final = Labels[str](
    {
        "none": "No preview",
        "proj": "Fast and rough",
        "tae": "Tiny autoencoder",
        "vae": "Full VAE (slow)",
    }
)

#: Choices that are no names of the field, by their kind and name; the others are called what they are named.
CHOICE_LABELS: Final = Labels[str](
    {
        "Speed.exact": "Exact",
        "Speed.balanced": "Balanced",
        "Speed.fast": "Fast",
        "CacheMode.disabled": "Off",
        "InpaintFill.original": "The picture itself",
        "InpaintFill.surroundings": "Its surroundings",
        "LoraApplyMode.auto": "Automatic",
        "LoraApplyMode.immediately": "At loading",
        "LoraApplyMode.at_runtime": "While sampling",
        "HiresUpscaler.nearest": "Nearest pixel",
        "HiresUpscaler.model": "Model",
        "VideoFormat.frames": "Single pictures",
    }
)

FORMAT_LABELS: Final[Mapping[str, str]] = {"png": "PNG", "webp": "WebP", "avif": "AVIF", "jpeg": "JPEG"}


def field_label(name: str) -> str:
    """What a form field is called."""
    return FIELD_LABELS.get(name) or name.rpartition(".")[2].replace("_", " ").capitalize()
