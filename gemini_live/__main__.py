"""`python -m gemini_live`, and the `gemini-live` command."""

from .cli import run

if __name__ == "__main__":
    run()
