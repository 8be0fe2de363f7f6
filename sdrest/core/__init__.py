"""The domain in frozen dataclasses and enums; standard library only, imported by everything, importing nothing of sdrest."""
