"""Jobs kept in memory: what the databases must do, in plain Python; tests compare with it, or use it where none is meant."""
