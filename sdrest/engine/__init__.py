"""Running the native library in a supervised child process."""
