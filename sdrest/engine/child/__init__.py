"""The child process: the only place where the native library is loaded."""
