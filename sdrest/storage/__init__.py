"""SQLite: one writer thread, write-ahead log, numbered migrations."""
