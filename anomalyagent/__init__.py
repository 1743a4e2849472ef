"""anomalyagent: realistic industrial defects (image + pixel mask) on photos of good parts."""

__all__ = ["__version__"]

__version__ = "0.1.0"
