"""Picture and video files: atomic writes, metadata, thumbnails."""
