"""How much one request, and all requests together, may make the server do, where neither a setting nor a parameter's range says it.

Each bound has one sentence beside it; ``docs/settings.md`` lists them from here, with the settings and ranges that are bounds too.
"""

from __future__ import annotations

from typing import Annotated, Final

JSON_DEPTH: Final[Annotated[int, "Lists and objects within one another in a JSON text."]] = 64
JSON_VALUES: Final[Annotated[int, "Commas and opening brackets in a JSON text, those within its strings included."]] = (
    200_000
)
JSON_DIGITS: Final[Annotated[int, "Digits of a whole number in a JSON text."]] = 100
FORM_FIELDS: Final[Annotated[int, "Fields and files of a form."]] = 1000
ACCOUNT_BODY_BYTES: Final[Annotated[int, "Size of a body that logs in, or renews a login, in bytes."]] = 64 * 1024
PICTURES: Final[Annotated[int, "Input pictures of a request, frames of a control video included."]] = 1100
FETCHED_PICTURES: Final[Annotated[int, "Input pictures of a request that are given by URL."]] = 32
ENLARGED_PICTURES: Final[Annotated[int, "Pictures of a request to `/sdapi/v1/extra-batch-images`."]] = 64
OPENAI_PICTURES: Final[Annotated[int, "`n` of the OpenAI image API."]] = 10
OPENAI_SECONDS: Final[Annotated[int, "`seconds` of the OpenAI video API."]] = 60
MASK_BLUR_PX: Final[Annotated[int, "`mask_blur` of `/sdapi/v1/img2img`, in pixels."]] = 256
PROMPT_TOKENS: Final[Annotated[int, "Tokens of a prompt, counted from above: see `docs/generation.md`."]] = 4096
LORA_TAGS: Final[Annotated[int, "`<lora:…>` tags in a prompt."]] = 64
IDEMPOTENCY_KEY: Final[Annotated[int, "Characters of an idempotency key, in the body or in its header."]] = 200
WEBHOOK_URL: Final[Annotated[int, "Characters of a webhook's URL."]] = 2000
PICTURE_URL: Final[Annotated[int, "Characters of a picture's URL."]] = 2000
TASK_ID: Final[Annotated[int, "Characters of `force_task_id` of the A1111 API."]] = 200
GROUP_JOBS: Final[Annotated[int, "Jobs of a group: cells of a grid, or rows of a list."]] = 500
EXPANSIONS: Final[Annotated[int, "Prompts of one user that a language model makes more of at a time."]] = 4
GROUP_CSV: Final[Annotated[int, "Characters of the CSV text of a group."]] = 1_000_000
SHEET_PIXELS: Final[Annotated[int, "Pixels of a group's contact sheet; its pictures are made smaller to fit."]] = (
    40_000_000
)
JOB_IDS: Final[Annotated[int, "Jobs that one request deletes."]] = 1000
GALLERY_FILES: Final[Annotated[int, "Pictures that one request of the gallery deletes, restores, marks or sends."]] = (
    1000
)
MARK_NAME: Final[Annotated[int, "Characters of the name of a tag or an album."]] = 60
MODELS: Final[Annotated[int, "Models that one request hashes, loads or validates."]] = 1000
INFOTEXT: Final[Annotated[int, "Length of a picture's text whose parameters are read out of it."]] = 200_000
MODEL_UPLOADS: Final[Annotated[int, "Model files that are uploaded at the same time, by all callers together."]] = 8
THUMBNAIL_BYTES: Final[Annotated[int, "Memory for thumbnails that were made before, in bytes."]] = 32 * 1024 * 1024
FILE_THREADS: Final[
    Annotated[int, "Threads for long work on model files: hashing, converting, looking through folders."]
] = 2
SOCKET_MESSAGE_BYTES: Final[Annotated[int, "Size of a message that a client sends on a WebSocket, in bytes."]] = (
    64 * 1024
)
