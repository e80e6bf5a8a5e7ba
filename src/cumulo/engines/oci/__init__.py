"""The image store of the local engine: references, registries, archives, and layers unpacked for overlayfs."""
