"""The rig: a sound card and a screen made of software, for tests with real devices on a machine that has neither.

Each part is a shell script that can be used by hand and a small class that tests use. Linux only.
"""


class RigError(Exception):
    """A part of the rig does not start here: a package is missing, or the system refuses."""
