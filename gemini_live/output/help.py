"""What can be pressed and typed at the prompt: the words of the overlay, of `/help`, and of the README's tables."""

COMMAND_MARK = "/"

KEYS: dict[str, str] = {
    "Enter": "send the line; what is still playing stops",
    "Alt-Enter": "begin another line; so does Shift-Enter, where the terminal tells it apart",
    "Ctrl-T": "mute the microphone, or unmute it; with --push-to-talk: talk",
    "Space": "on an empty line, with --push-to-talk: talk",
    "Esc": "stop the answer that is being said",
    "Up, Ctrl-R": "earlier lines; search them",
    "Ctrl-C": "clear the line; on an empty line, leave (exit code 130)",
    "Ctrl-D": "on an empty line: no more input; leave when all is answered",
    "Ctrl-Z": "suspend; fg goes on",
    "F1": "show or hide this",
}

COMMANDS: dict[str, str] = {
    "/help": "show the keys and commands",
    "/mute": "mute the microphone, or unmute it",
    "/stats": "show what the session amounts to so far",
    "/devices": "list the sound devices",
    "/image FILE": "show a picture to the model",
    "/screen on|off": "show the screen to the model, or no more",
    "/save FILE": "write the conversation so far to a file, not over one of yours",
    "/quit": "leave at once (exit code 0)",
    "//": "begins a line that begins with a slash",
}


def is_command(line: str) -> bool:
    """Whether a typed line is a command; two slashes begin a line that begins with one."""
    return line.startswith(COMMAND_MARK) and not line.startswith(COMMAND_MARK * 2)


def name_of(usage: str) -> str:
    """Return the command that a usage is of."""
    return usage.partition(" ")[0]


def format_help() -> str:
    """Return both tables as lines of text."""
    width = max(map(len, (*KEYS, *COMMANDS)))
    return "\n".join(f"{name:<{width}}  {meaning}" for name, meaning in (*KEYS.items(), *COMMANDS.items()))
