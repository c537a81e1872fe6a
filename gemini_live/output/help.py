"""The keys and the commands of the prompt, with their descriptions, for the help overlay, `/help` and the docs."""

COMMAND_MARK = "/"

KEYS: dict[str, str] = {
    "Enter": "send the line, and stop playback; Alt-Enter: start a new line",
    "Ctrl-T": "mute or unmute; with --push-to-talk: talk, as does Space",
    "Esc": "cancel running functions; if there are none, stop the answer",
    "Up, Ctrl-R": "go back to earlier lines; search them",
    "Ctrl-C": "clear the line; on an empty line: exit (exit code 130)",
    "Ctrl-D": "on an empty line: exit when everything is answered",
    "Ctrl-Z": "suspend; fg resumes",
    "F1": "show or hide this help",
}

COMMANDS: dict[str, str] = {
    "/help": "show the keys and commands",
    "/mute [on|off]": "mute or unmute; with --push-to-talk: drop what you are saying",
    "/stats": "show the statistics of the session so far",
    "/devices": "list the sound devices",
    "/image FILE": "show a picture to the model",
    "/screen on|off": "start or stop sharing the screen",
    "/tools": "list the functions as the model sees them",
    "/call NAME JSON": "call a function yourself, with a JSON object of arguments",
    "/reload": "load changed functions again; start MCP servers that ended",
    "/save FILE": "save the conversation, as a recording if FILE ends in .jsonl",
    "/quit": "exit at once (exit code 0)",
    "//": "send a line that begins with a slash: type the slash twice",
}


def is_command(line: str) -> bool:
    """True if a typed line is a command: one slash, not two, begins it."""
    return line.startswith(COMMAND_MARK) and not line.startswith(COMMAND_MARK * 2)


def name_of(usage: str) -> str:
    """Return the command of a usage: `/save` for `/save FILE`."""
    return usage.partition(" ")[0]


def format_help() -> str:
    """Return the keys and commands as lines of text, in two columns."""
    width = max(map(len, (*KEYS, *COMMANDS)))
    return "\n".join(f"{name:<{width}}  {meaning}" for name, meaning in (*KEYS.items(), *COMMANDS.items()))
