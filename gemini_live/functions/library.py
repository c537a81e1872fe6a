"""All functions of one run: those of the user's files and the tools of MCP servers, loaded and loaded again.

Runs on the event loop, apart from the files' own code: before the session in the main thread, later in a worker thread.
"""

import asyncio
import functools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FunctionDeclarationError
from ..frozen import Frozen
from ..models import ModelCapabilities
from .declare import Function
from .load import check_files, find_ignored_behaviors, index_functions, load_file, make_caller, read_source
from .result import RemoteFunction

if TYPE_CHECKING:
    from .mcp import McpServers


class _LoadedFile(Frozen):
    path: Path
    source: bytes
    loaded_ns: int
    """When it was loaded, on the wall clock."""
    functions: list[Function]


class FunctionLibrary:
    """The functions of one run."""

    def __init__(
        self,
        files: Sequence[Path],
        servers: "McpServers | None" = None,
        *,
        capabilities: ModelCapabilities,
        timeout_s: float,
        end_line: Callable[[], None] = lambda: None,
        is_interrupted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Load the files; the servers are not started yet.

        Args:
            files: Python files, in the order in which their functions are declared.
            servers: MCP servers, whose tools come after the functions of files.
            capabilities: What the model can do.
            timeout_s: How long a call may take.
            end_line: Called at the end of each function, in the function's thread.
            is_interrupted: Returns True if a `KeyboardInterrupt` comes from the user's Ctrl-C.

        Raises:
            MissingExtraError: pydantic is not installed.
            FunctionDeclarationError: A file cannot be imported, or a function cannot be declared.
        """
        check_files(files)
        self._capabilities, self._is_interrupted, self._servers = capabilities, is_interrupted, servers
        self._modules_before = set(sys.modules)
        self._files = [self._load(file) for file in files]
        functions = index_functions(file.functions for file in self._files)
        self.caller = make_caller(functions, capabilities=capabilities, timeout_s=timeout_s, end_line=end_line)
        """Calls the functions; it stays the same when they are loaded again."""
        self._reloading = asyncio.Lock()
        if servers is not None:
            servers.on_change = self._combine

    @property
    def has_servers(self) -> bool:
        """True if there are MCP servers to start."""
        return self._servers is not None

    async def start(self) -> bool:
        """Start the MCP servers; return False if one does not start, which has been told."""
        if self._servers is None:
            return True
        has_started = await self._servers.start()
        self._combine()
        return has_started

    async def close(self) -> None:
        """End the MCP servers."""
        if self._servers is not None:
            await self._servers.close()

    async def reload(self) -> list[str]:
        """Load changed files again, start ended servers and list their tools; return what was done, one line each.

        What cannot be loaded stays as it was.
        """
        async with self._reloading:
            done = []
            for index, file in enumerate(self._files):
                try:
                    if not self._has_changed(file):
                        continue
                    loaded = await asyncio.to_thread(self._load, file.path)
                    index_functions((loaded if other is file else other).functions for other in self._files)
                except FunctionDeclarationError as error:
                    done.append(f"{error}; the functions of before stay")
                else:
                    self._files[index] = loaded
                    done.append(f"{file.path}: loaded again")
            if self._servers is not None:
                done += await self._servers.reload()
            self._combine()
            return done

    def _load(self, path: Path) -> _LoadedFile:
        loaded_ns, source = time.time_ns(), read_source(path)
        for name in self._find_neighbours(path):  # so that their new code is imported
            del sys.modules[name]
        return _LoadedFile(path, source, loaded_ns, load_file(path, self._capabilities, self._is_interrupted))

    def _has_changed(self, file: _LoadedFile) -> bool:
        """True if a file or a module beside it has other content than when it was loaded."""
        if read_source(file.path) != file.source:
            return True
        for name in self._find_neighbours(file.path):
            path = Path(str(sys.modules[name].__file__))
            if path.exists() and path.stat().st_mtime_ns > file.loaded_ns:
                return True
        return False

    def _find_neighbours(self, path: Path) -> list[str]:
        """Return the modules that user code has imported from the folder of a file, installed libraries excluded."""
        folder = path.resolve().parent
        found = []
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if name in self._modules_before or not isinstance(file, str) or name.startswith("gemini_live"):
                continue
            parts = Path(file).resolve()
            if folder in parts.parents and not {"site-packages", "dist-packages"} & set(parts.parts):
                found.append(name)
        return found

    def _combine(self) -> None:
        """Offer the functions of all files and the tools of all servers."""
        functions: dict[str, Function | RemoteFunction] = dict(index_functions(file.functions for file in self._files))
        warnings = find_ignored_behaviors(functions.values(), self._capabilities)
        if self._servers is not None:
            from .mcp_tools import declare_tool, name_tools  # noqa: PLC0415 - most runs have no servers

            tools = self._servers.tools
            names = name_tools(tools, functions)
            for (server, own_name), name in names.items():
                tool = next(each for each in tools[server] if each["name"] == own_name)
                call = functools.partial(self._servers.call, server)
                declared = declare_tool(server, tool, name, call, self._capabilities)
                if declared is None:
                    warnings.append(f"MCP server {server}: the tool {name} is not offered: its description is too long")
                else:
                    functions[name] = declared
        self.caller.replace(functions, warnings)
