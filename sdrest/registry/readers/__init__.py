"""Reading model files: bounded, without running or unpacking anything."""
