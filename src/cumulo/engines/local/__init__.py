"""The local engine: containers by an OCI runtime and conmon, on overlayfs, in control groups of our own."""
