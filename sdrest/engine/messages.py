"""What parent and child say to each other: small frames; pictures go through files in the job's spool folder."""

from __future__ import annotations

from typing import Final

import msgspec

from sdrest.core.parameters import GenerationParameters, VideoParameters


class ContextSpec(msgspec.Struct, frozen=True):
    """Which files make a context and how it is held; equal specs share a loaded context.

    ``files`` and ``options`` are pairs of a field name of ``binding.ContextParams`` and its value, ``embeddings`` pairs of the word
    in prompts and the file.
    """

    files: tuple[tuple[str, str], ...]
    embeddings: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, bool | int | float | str], ...] = ()

    @property
    def main(self) -> str:
        """The main model file."""
        files = dict(self.files)
        return files.get("model") or files.get("diffusion_model") or ""


class LoraFile(msgspec.Struct, frozen=True):
    """One LoRA to apply: its file, weight, and whether it is for the high-noise model."""

    path: str
    multiplier: float
    high_noise: bool = False


#: What a loaded model takes beside its weights, in bytes: vocabularies, graphs, the library's own tables (measured: 60 to 170 MiB,
#: the most with Mistral's vocabulary).
CONTEXT_OVERHEAD_BYTES: Final = 192 << 20


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """The memory that a task needs and may have, in bytes.

    ``budget`` bounds everything loaded plus what is computed (0: no bound); ``weights`` are the task's model files as their headers
    tell; ``compute`` is the largest compute buffer, 0 when it is not known yet: then a dry run finds it out.
    """

    budget: int = 0
    weights: int = 0
    compute: int = 0


NO_DEMAND = Demand()


class Message(msgspec.Struct, kw_only=True, tag=True, omit_defaults=True):
    """Base of all frames; the class name is the tag on the wire."""


# ------------------------------------------------------------------------------------------------ parent → child


class Generate(Message):
    """Make pictures one by one and write each as ``<folder>/<index>.rgb`` (rows of RGB bytes).

    Picture i of the parameters' ``batch_count`` has seed ``seed`` + i. ``pictures`` holds the input pictures by parameter name, as
    ``.npy`` files of height × width × channels bytes, already of the sizes the library needs.
    """

    task: str
    context: ContextSpec
    parameters: GenerationParameters
    folder: str
    pictures: dict[str, tuple[str, ...]] = {}
    loras: tuple[LoraFile, ...] = ()
    #: ESRGAN file of the hires step, and of the upscaling step after it.
    hires_model: str = ""
    upscale_model: str = ""
    demand: Demand = NO_DEMAND


class GenerateVideo(Generate):
    """Make a video and write its frames as ``<folder>/<index>.rgb``."""

    parameters: VideoParameters


class Upscale(Message):
    """Enlarge one picture with an ESRGAN model."""

    task: str
    picture: str
    model: str
    factor: float
    folder: str
    threads: int = 0
    tile_size: int = 128


class Load(Message):
    """Load a model and keep it, and find out by dry runs what each of ``measured`` takes beside it."""

    task: str
    context: ContextSpec
    demand: Demand = NO_DEMAND
    measured: tuple[GenerationParameters, ...] = ()


class Unload(Message):
    """Free loaded models: those whose main file is ``path``, or all when it is empty."""

    task: str
    path: str = ""


class Cancel(Message):
    """End the task softly; no answer beyond the task's own ending."""

    task: str


class Skip(Message):
    """End picture ``picture`` (from 1) of the running task, and go on with the next; no answer beyond the task's own ending."""

    task: str
    picture: int


class Preview(Message):
    """Send previews of the running task from now on; no answer beyond these."""

    task: str


class Ping(Message):
    """Answered with :class:`Pong` by the child's main thread, whatever the native thread does."""

    number: int


class Shutdown(Message):
    """Free everything and exit."""


Task = Generate | GenerateVideo | Upscale | Load | Unload
Command = Task | Cancel | Skip | Preview | Ping | Shutdown

# ------------------------------------------------------------------------------------------------ child → parent


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One device as ggml registered it (``ggml_backend_dev_*``); memory in bytes."""

    name: str  #: such as ``CPU`` or ``CUDA0``
    description: str  #: the device's own name
    type: str  #: cpu, gpu, igpu (shares the host's memory), accel
    backend: str  #: such as ``CPU``, ``CUDA``, ``Vulkan``
    memory_free: int  #: 0 where the backend does not tell
    memory_total: int


class Ready(Message):
    """The library is loaded and the child takes tasks."""

    version: str
    commit: str
    system_info: str
    physical_cores: int
    soft_cancel: bool
    devices: tuple[DeviceInfo, ...]


class Progressed(Message):
    """The running task came further; ``step`` of ``steps`` within the phase, picture ``image`` of ``images`` from 1."""

    task: str
    phase: str
    step: int = 0
    steps: int = 0
    image: int = 0
    images: int = 0


class PictureMade(Message):
    """A picture lies in ``path`` as rows of RGB bytes."""

    task: str
    index: int
    path: str
    width: int
    height: int
    channels: int = 3
    seed: int = -1


class Previewed(Message):
    """A preview picture: rows of RGB bytes."""

    task: str
    step: int
    width: int
    height: int
    rgb: bytes


class ContextChanged(Message):
    """A model was loaded or freed; ``memory_bytes`` is the child's resident memory after it."""

    context: ContextSpec
    loaded: bool
    seconds: float
    memory_bytes: int

    @property
    def path(self) -> str:
        """The main model file."""
        return self.context.main


class LogLine(Message):
    """One line of the native library's log."""

    level: str
    text: str


class Done(Message):
    """The task succeeded; ``seconds`` is the time of the native calls, ``result`` what the task kind reports beside pictures.

    Keys of ``result``, as far as they are known: ``weights_bytes`` and ``compute_bytes`` (largest buffer) of the task, or
    ``compute_bytes_0`` and so on of those that were measured,
    ``memory_before_bytes`` and ``memory_after_bytes`` (resident memory of the child), ``unloaded`` (number of contexts),
    ``skipped`` (number of pictures).
    """

    task: str
    seconds: float
    load_seconds: float = 0.0
    sampler: str = ""
    scheduler: str = ""
    result: dict[str, int] = {}


class Failed(Message):
    """The task failed and the child goes on; ``slug`` is that of a ``SdrestError`` class, ``details`` become the error's."""

    task: str
    slug: str
    message: str
    log_tail: tuple[str, ...] = ()
    details: dict[str, int] = {}


class Pong(Message):
    """The child is alive; resident memory in bytes and the main files of loaded models."""

    number: int
    memory_bytes: int
    loaded: tuple[str, ...] = ()


Report = Ready | Progressed | PictureMade | Previewed | ContextChanged | LogLine | Done | Failed | Pong
