"""A command-line client and testbed for Google's Gemini Live API."""

__version__ = "0.1.0"
