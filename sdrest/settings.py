"""Every setting, once: name, meaning, default and unit.

A value is taken from the command line, else from the environment (``SDREST_`` + name in capitals), else from the configuration
file, else from the default here. ``docs/settings.md`` and ``sdrest serve --help`` are made from this table.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from sdrest.core.names import Language, PictureFormat, SigningAlgorithm


class AuthMode(StrEnum):
    """Who may use the server."""

    NONE = "none"
    JWT = "jwt"
    API_KEY = "api-key"
    UNIX = "unix"
    PAM = "pam"
    OPTIONAL = "optional"
    OIDC = "oidc"


class Backend(StrEnum):
    """The ggml backend the native library must offer."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    VULKAN = "vulkan"
    METAL = "metal"
    ROCM = "rocm"
    SYCL = "sycl"
    OPENCL = "opencl"


class LogLevel(StrEnum):
    """Least severe log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _from_json(value: object) -> object:
    """A mapping, also when it is written as JSON text, as flags are."""
    return json.loads(value) if isinstance(value, str) else value


def _from_list(value: object) -> object:
    """A list, also when it is written as text with commas, as flags and variables are."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _base_path(value: str) -> str:
    """A path of one or more plain names, or nothing."""
    if value and not re.fullmatch(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", value):
        raise PydanticCustomError(
            "base_path",
            "must begin with a slash, end without one and hold plain names: /sd, /tools/sd; empty for the root",
        )
    return value


class HubRating(StrEnum):
    """How explicit a hub's pictures may be, least first."""

    PG = "pg"
    PG13 = "pg13"
    R = "r"
    X = "x"
    XXX = "xxx"


#: Hugging Face and CivitAI with the hosts that their files really lie on.
DOWNLOAD_HOSTS: Final = (
    "huggingface.co",
    "*.huggingface.co",
    "*.hf.co",
    "civitai.com",
    "*.civitai.com",
    "*.5ac0637cfd0766c97916cefa3764fbdf.r2.cloudflarestorage.com",
)

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_from_list)]


#: Settings that move a kind of model folder to another place.
MODEL_FOLDERS: Final = (
    "checkpoints",
    "diffusion_models",
    "lora",
    "vae",
    "taesd",
    "controlnet",
    "esrgan",
    "upscaler",
    "embeddings",
    "text_encoders",
    "clip_vision",
    "photomaker",
    "presets",
    "prompts",
    "neg_prompts",
)


#: Settings that say which models there are.
MODEL_PLACES: Final = ("models_dir", *MODEL_FOLDERS, "models_from", "follow_links")


#: What the variables of the environment begin with; upper and lower case are the same there.
VARIABLE_PREFIX: Final = "SDREST_"


class Settings(BaseSettings):
    """The settings of one server."""

    model_config = SettingsConfigDict(env_prefix=VARIABLE_PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="TCP port; 0 lets the system choose.")
    database: SecretStr = Field(
        SecretStr(""),
        description="Address of a PostgreSQL database (postgresql://user:password@host/name) for jobs, accounts and keys, in the "
        "place of the file in DATA_DIR; needs sdrest[cluster]. Several servers may work on one, each with a DATA_DIR of its own, "
        "if OUTPUT and SPOOL are the same folders for all of them.",
    )
    models_dir: Path = Field(Path("models"), description="Folder of the model folders (checkpoints, lora, vae …).")
    checkpoints: Path | None = Field(None, description="Folder of checkpoints.")
    diffusion_models: Path | None = Field(
        None, description="Folder of diffusion models without text encoders; a relative one lies in MODELS_DIR."
    )
    lora: Path | None = Field(None, description="Folder of LoRAs.")
    vae: Path | None = Field(None, description="Folder of VAEs.")
    taesd: Path | None = Field(None, description="Folder of tiny autoencoders.")
    controlnet: Path | None = Field(None, description="Folder of ControlNets.")
    esrgan: Path | None = Field(None, description="Folder of ESRGAN models.")
    upscaler: Path | None = Field(None, description="Folder of other upscalers.")
    embeddings: Path | None = Field(
        None, description="Folder of textual embeddings; a relative one lies in MODELS_DIR."
    )
    text_encoders: Path | None = Field(None, description="Folder of text encoders.")
    clip_vision: Path | None = Field(
        None, description="Folder of CLIP image encoders; a relative one lies in MODELS_DIR."
    )
    photomaker: Path | None = Field(None, description="Folder of PhotoMaker models.")
    presets: Path | None = Field(None, description="Folder of presets.")
    prompts: Path | None = Field(None, description="Folder of prompt templates.")
    neg_prompts: Path | None = Field(
        None, description="Folder of negative prompt templates; a relative one lies in MODELS_DIR."
    )
    models_from: Names = Field(
        (),
        description="Folders of models that other programs keep, read in place and never written into: comfyui:DIR, a1111:DIR, "
        "invokeai:DIR, or any DIR.",
    )
    wildcards: Path | None = Field(
        None,
        description="Folder of wildcards, text files that prompts draw lines from; MODELS_DIR/wildcards when not given.",
    )
    follow_links: bool | None = Field(
        None,
        description="Read models through symbolic links that lead out of the model folders; on with auth none, else off.",
    )
    watch_seconds: float = Field(
        5.0, ge=0, le=86_400, description="Time between looks for model files that came or went; 0: only when told."
    )
    data_dir: Path = Field(Path("data"), description="Folder for everything the server writes.")
    output: Path | None = Field(None, description="Folder for finished pictures; DATA_DIR/output when not given.")
    spool: Path | None = Field(
        None, description="Folder for input pictures and unfinished files of jobs; DATA_DIR/spool when not given."
    )
    default_model: str = Field("", description="Model used when a request names none; the embedded model when empty.")
    model_aliases: Annotated[dict[str, str], BeforeValidator(_from_json)] = Field(
        default_factory=dict, description='Further names of models, as JSON: {"gpt-image-1": "my-model"}.'
    )

    cert: Path | None = Field(None, description="TLS certificate (PEM); with key: serve HTTPS.")
    key: Path | None = Field(None, description="TLS key (PEM).")
    allowed_hosts: Names = Field(
        (), description="Host names by which the server may be addressed, besides localhost and addresses; * for any."
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses and networks of reverse proxies whose X-Forwarded-For, -Proto and -Host are believed.",
    )
    base_path: Annotated[str, AfterValidator(_base_path)] = Field(
        "", description="Path of its name below which a reverse proxy offers the server: /sd; empty: the root."
    )
    cors: bool = Field(False, description="Let web pages of any origin read replies, without credentials.")
    cors_origins: Names = Field((), description="Origins of web pages that may use the server, https://example.org.")

    language: Language = Field(
        Language.ENGLISH, description="Language of the pages for browsers that ask for none of those there are."
    )

    auth: AuthMode = Field(AuthMode.NONE, description="Who may use the server.")
    allow_anonymous: bool = Field(False, description="Allow a non-local address without authentication.")
    socket: Path | None = Field(None, description="UNIX socket to listen on as well.")
    admin_users: Names = Field((), description="System accounts that are admins (unix, pam); root always is.")
    admin_group: str = Field("", description="System group whose members are admins (unix, pam).")
    allowed_group: str = Field("", description="System group whose members may log in (unix, pam); empty: everybody.")
    pam_service: str = Field("sdrest", pattern=r"^[\w.-]+$", description="PAM service that checks passwords.")
    pam_timeout_seconds: float = Field(30.0, gt=0, le=600, description="Time that PAM has to check a password.")
    oidc_issuer: str = Field(
        "",
        description="Address of the OpenID Connect provider through which people sign in (oidc), as it calls itself.",
    )
    oidc_client_id: str = Field("", description="What the provider knows this server by.")
    oidc_client_secret_file: Path | None = Field(
        None, description="File with the secret that the provider gave out for it; none for a public client."
    )
    oidc_title: str = Field("", description="What people call the provider; empty: its host.")
    oidc_scopes: Names = Field(("openid", "profile", "email"), description="What is asked of the provider.")
    oidc_name_claim: str = Field("preferred_username", description="Claim that is the user name, such as email or sub.")
    oidc_groups_claim: str = Field(
        "groups", description="Claim that holds somebody's groups or roles; realm_access.roles is one within another."
    )
    oidc_admins: Names = Field((), description="Groups whose members are admins.")
    oidc_users: Names = Field(
        (), description="Groups whose members are users; * for everybody; empty: everybody of oidc_domains."
    )
    oidc_viewers: Names = Field((), description="Groups whose members may look only; * for everybody else.")
    oidc_domains: Names = Field((), description="Mail domains that may sign in, verified ones; empty: any.")
    access_token_seconds: int = Field(3600, ge=60, le=604_800, description="Life of an access token.")
    session_days: float = Field(30.0, gt=0, le=400, description="Life of a login without use.")
    signed_url_seconds: int = Field(
        3600, ge=10, le=604_800, description="Life of picture addresses that need no credentials."
    )
    login_max_failures: int = Field(5, ge=1, le=1000, description="Failed logins in a row before an account is locked.")
    login_lockout_seconds: float = Field(900.0, gt=0, le=86_400, description="Longest time an account stays locked.")
    rate_limit_per_minute: int = Field(
        0, ge=0, description="Requests other than reading that one user or address may make in a minute; 0: any number."
    )
    max_pending_jobs_per_user: int = Field(
        0, ge=0, description="Pending jobs that one user may have; 0: no limit but the queue's."
    )
    max_images_per_day: int = Field(
        0, ge=0, description="Pictures (frames of videos) that one user may have made in a day of UTC; 0: any number."
    )
    max_megapixel_steps_per_day: int = Field(
        0,
        ge=0,
        description="Steps × width × height ÷ 1,000,000 of all pictures that one user may have made in a day; 0: any number.",
    )
    max_output_bytes_per_day: int = Field(
        0, ge=0, description="Bytes of finished files that one user may have made in a day; 0: any number."
    )
    guest_max_pending: int = Field(2, ge=1, description="Pending jobs that one guest may have (auth optional).")
    guest_max_pixels: int = Field(
        1024 * 1024, ge=64 * 64, description="Largest picture of a guest in pixels (width × height)."
    )
    guest_max_steps: int = Field(50, ge=1, description="Most steps a guest may ask for.")
    guest_max_images: int = Field(4, ge=1, description="Most pictures a guest may ask for at a time.")

    backend: Backend = Field(
        Backend.AUTO,
        description="ggml backend that the native library must have, else the server does not start; auto takes what is there.",
    )
    devices: Names = Field(
        (),
        description="Devices to compute on, each with an engine of its own: cuda0, vulkan1, rocm0 …, cpu; empty: one engine, "
        "on the device that the library chooses.",
    )
    engines: int = Field(
        1,
        ge=1,
        le=64,
        description="Engines on the same device, which share the cores and the memory (not with devices).",
    )
    threads: int = Field(
        0, ge=0, le=1024, description="Threads of each engine; 0: its share of the physical cores it may use."
    )
    work: bool = Field(True, description="Make pictures on this machine; off: only workers on other machines do.")
    worker_grace_seconds: float = Field(
        30.0, ge=0, le=3600, description="How long a worker may be cut off before its jobs begin again elsewhere."
    )
    max_attempts: int = Field(2, ge=1, le=10, description="Attempts a job gets when the engine process dies under it.")
    cancel_grace_seconds: float = Field(
        5.0, gt=0, le=600, description="Time a soft cancel has before the engine is killed."
    )
    engine_hang_seconds: float = Field(
        120.0, gt=0, description="Silence of the engine process after which it is killed."
    )

    memory_budget_bytes: int = Field(
        0,
        ge=0,
        description="Memory of each engine for loaded models and their work; 0: its share of three quarters of the machine's, or "
        "nearly all of its device's.",
    )
    offload_weights: bool = Field(
        False,
        description="Keep models' weights in the machine's memory and bring them to the device file by file: larger models fit, "
        "slower. Without effect on the processor.",
    )
    text_encoders_on_cpu: bool = Field(False, description="Compute text encoders on the processor: room on the device.")
    vae_on_cpu: bool = Field(False, description="Compute the VAE on the processor: room on the device, slower.")
    control_net_on_cpu: bool = Field(
        False, description="Compute ControlNets on the processor: room on the device, slower."
    )
    map_weights: bool = Field(
        False, description="Map model files into memory instead of reading them, where the device can compute on that."
    )
    flash_attention: bool = Field(
        False,
        description="Flash attention in the diffusion model: a fraction of the memory at large sizes, faster on most GPUs, "
        "slower on the processor; pictures differ by rounding.",
    )
    diffusion_conv_direct: bool = Field(
        False, description="Convolutions of the diffusion model without the large copies: less memory, other speed."
    )
    vae_conv_direct: bool = Field(
        False, description="Convolutions of the VAE without the large copies: less than half of its memory, slower."
    )
    max_graph_bytes: int = Field(
        0, ge=0, description="Device memory that one computation may take before the library cuts it in pieces; 0: any."
    )
    load_last_model: bool = Field(
        True, description="Load the model that was loaded last as soon as the server starts, while the rest comes up."
    )
    idle_unload_seconds: float = Field(
        0.0, ge=0, description="Time without work after which loaded models are freed; 0: never."
    )

    load_test_seconds: float = Field(
        300.0, gt=0, le=86_400, description="Longest time that loading a model for trial may take."
    )

    reuse_results: bool = Field(
        True, description="Answer a request with the same seed, parameters and files as an earlier one with its result."
    )
    max_pending_jobs: int = Field(10_000, ge=1, description="Pending jobs the queue holds before it answers 429.")
    max_body_bytes: int = Field(128 * 1024 * 1024, ge=1024, description="Largest request body in bytes.")
    max_image_pixels: int = Field(
        64 * 1024 * 1024, ge=1, description="Largest uploaded picture in pixels (width × height)."
    )
    max_pixels_at_once: int = Field(
        256 * 1024 * 1024, ge=1, description="Pixels of input pictures held for all requests together; more wait."
    )
    max_body_bytes_at_once: int = Field(
        1024**3, ge=1024, description="Bytes of bodies held for all requests together before further ones get 429."
    )
    max_streams_per_user: int = Field(
        256, ge=1, description="Event streams and WebSockets that one user or guest may have open."
    )
    max_file_bytes_per_user: int = Field(
        1024**3, ge=0, description="Bytes of pictures that one user may keep by POST /v1/files; 0: none."
    )
    fetch_allowed_hosts: Names = Field(
        (),
        description="Hosts (or host:port) in private networks that pictures and models may come from and webhooks go to.",
    )
    fetch_max_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Largest picture fetched from a URL in bytes.")
    fetch_timeout_seconds: float = Field(20.0, gt=0, le=600, description="Longest time for fetching a picture.")
    max_model_bytes: int = Field(
        128 * 1024**3, ge=1024, description="Largest model file that is uploaded or downloaded in bytes."
    )
    download_hosts: Names = Field(
        DOWNLOAD_HOSTS,
        description="Hosts that models may be downloaded from: host, host:port, *.suffix, or * for any public one.",
    )
    model_sets: Names = Field(
        (),
        description="Further catalogues of model sets: paths and http(s) addresses, which go before the package's own.",
    )
    download_timeout_seconds: float = Field(
        60.0, gt=0, le=3600, description="Silence after which a download's connection is given up and made anew."
    )
    download_retry_seconds: float = Field(
        2.0, gt=0, le=600, description="First pause before an interrupted download goes on; it doubles each time."
    )
    hf_endpoint: str = Field(
        "", description="Address of Hugging Face or a mirror; empty: HF_ENDPOINT, else the hub's own."
    )
    hf_token: SecretStr = Field(
        SecretStr(""), description="Token for Hugging Face; empty: HF_TOKEN or the login of its own tools."
    )
    hub_rating: HubRating = Field(
        HubRating.PG,
        description="Most explicit rating of models and preview pictures that a search on a hub shows.",
    )
    civitai_url: str = Field("https://civitai.com", description="Address of CivitAI.")
    civitai_api_key: SecretStr = Field(SecretStr(""), description="API key for CivitAI.")
    prompt_expansion_url: str = Field(
        "",
        description="Address of an OpenAI-compatible API (https://host/v1) whose chat model makes more of prompts; it may lie in a "
        "private network. Empty: off.",
    )
    prompt_expansion_model: str = Field("", description="Name of that model there.")
    prompt_expansion_key_file: Path | None = Field(
        None, description="File with the key for that API; it is sent to that address and nowhere else."
    )
    prompt_expansion_timeout_seconds: float = Field(60.0, gt=0, le=600, description="Longest time for its answer.")
    prompt_expansion_instruction: str = Field(
        "Rewrite the user's text as one vivid prompt for an image generator. Keep the subject and everything that is named. Add "
        "what is seen: setting, light, composition, colours, materials, style. At most 80 words, in the language of the text. "
        "Answer with the prompt only.",
        max_length=4000,
        description="What the model is told to do with a prompt.",
    )
    webhook_url: str = Field("", description="Where the endings of all jobs are reported to.")
    webhook_secret: SecretStr = Field(SecretStr(""), description="Key of the HMAC-SHA256 signature of webhooks.")
    webhook_hosts: Names = Field((), description="Hosts that jobs may name as webhooks; empty: any public host.")
    webhook_retry_seconds: float = Field(5.0, gt=0, description="First pause before a webhook is sent again.")
    retention_days: float = Field(
        0.0, ge=0, description="Age at which ended jobs, their files, and files of /v1/files go; 0: never."
    )
    retention_bytes: int = Field(0, ge=0, description="Size that all outputs may have before the oldest go; 0: any.")
    retention_jobs: int = Field(0, ge=0, description="Ended jobs that are kept; 0: all.")
    bin_days: float = Field(
        30.0,
        ge=0,
        le=36_500,
        description="Days for which deleted pictures can be put back; 0: they are removed at once.",
    )
    min_free_bytes: int = Field(
        256 * 1024 * 1024, ge=0, description="Free space on the output disk below which no job is accepted."
    )
    sync_timeout_seconds: float = Field(3600.0, gt=0, description="Longest wait of a synchronous request.")
    hang_up_grace_seconds: float = Field(
        10.0, ge=0, description="How long the job of a synchronous request goes on when its client has hung up."
    )

    output_format: PictureFormat = Field(
        PictureFormat.PNG, description="File format of pictures, where a request names none."
    )
    output_quality: int = Field(
        90, ge=1, le=100, description="Quality of WebP, AVIF and JPEG files in percent, where a request names none."
    )
    ai_mark: bool = Field(
        True,
        description="Mark pictures as made by a model (IPTC digital source type, in XMP); the pixels stay as they are.",
    )

    c2pa_certificates: Path | None = Field(
        None,
        description="PEM file with the certificate chain that files are signed with (C2PA, sdrest[c2pa]); needs c2pa_key too.",
    )
    c2pa_key: Path | None = Field(
        None, description="PEM file with the key of that certificate (PKCS #8, not encrypted)."
    )
    c2pa_algorithm: SigningAlgorithm = Field(SigningAlgorithm.ES256, description="Signature algorithm of that key.")
    c2pa_timestamp_url: str = Field(
        "", description="RFC 3161 server that is asked for a time stamp of each signature; empty: none is."
    )

    text_to_image_model: str = Field("", description="Model of /text-to-image and /image-to-image; empty: the default.")
    inpaint_image_model: str = Field("", description="Model of /inpaint-image; empty: the default.")
    concurrency: int = Field(
        1, ge=1, le=64, description="Accepted for older command lines: one picture is made at a time, whatever it says."
    )
    delete_incomplete: bool = Field(False, description="Forget jobs that have not ended when the server starts.")

    log_level: LogLevel = Field(LogLevel.INFO, description="Least severe log line that is written.")
    log_json: bool = Field(False, description="Write log lines as JSON.")

    @property
    def model_folders(self) -> dict[str, Path]:
        """The model folders that do not lie at their usual places, by kind."""
        chosen = {name: getattr(self, name) for name in MODEL_FOLDERS}
        return {name: path for name, path in chosen.items() if path is not None}

    @property
    def follows_links(self) -> bool:
        """Whether models are read through links that lead out of their folders (see :mod:`sdrest.registry.links`).

        Without authentication whoever uses the server is whoever set the links; with it, an administrator says so.
        """
        return self.auth is AuthMode.NONE if self.follow_links is None else self.follow_links

    @property
    def output_dir(self) -> Path:
        """Where finished pictures go."""
        return self.output or self.data_dir / "output"

    @property
    def wildcards_dir(self) -> Path:
        """Where wildcards lie."""
        return self.wildcards or self.models_dir / "wildcards"

    @property
    def spool_dir(self) -> Path:
        """Where input pictures of jobs and raw pictures from the engine lie."""
        return self.spool or self.data_dir / "spool"

    @property
    def sent_files_dir(self) -> Path:
        """Where pictures lie that clients have uploaded for later requests; servers on one database share it with the spool."""
        return (self.spool or self.data_dir) / "files"

    @property
    def database_file(self) -> Path:
        """The queue and everything else that must survive a restart."""
        return self.data_dir / "sdrest.sqlite3"

    @property
    def secrets_file(self) -> Path:
        """What tokens and signed addresses are signed with."""
        return self.data_dir / "secrets.json"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the environment: :mod:`sdrest.cli.configuration` merges flags and the file, and knows both."""
        del settings_cls, dotenv_settings, file_secret_settings
        return (init_settings, env_settings)
