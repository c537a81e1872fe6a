"""The user's functions. For their files: `from gemini_live.functions import tool`."""

from .tool import tool

__all__ = ["tool"]
