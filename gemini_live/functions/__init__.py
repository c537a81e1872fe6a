"""The user's functions. For their files: `from gemini_live.functions import api_key, tool`."""

from .key import api_key
from .tool import tool

__all__ = ["api_key", "tool"]
