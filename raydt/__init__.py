"""raydt measures, in bytes, how much a byte-level language model inherits from another language."""

__version__ = "0.1.0"
