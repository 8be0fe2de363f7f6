"""Model files: bounded header readers, identification, folders, catalogue, components, hashes."""
