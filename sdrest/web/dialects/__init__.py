"""APIs that existing clients already speak, each translated onto the one job service."""
