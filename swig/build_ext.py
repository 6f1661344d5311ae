"""How setuptools builds the extension: SWIG first, outside the source tree; and errors that say what to install."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext as setuptools_build_ext
from setuptools.errors import CompileError, PlatformError

INSTALL = """
    Debian, Ubuntu     apt install gcc libc6-dev python3-dev
    Fedora, AlmaLinux  dnf install gcc glibc-devel python3-devel
    openSUSE           zypper install gcc glibc-devel python3-devel
    Arch               pacman -S gcc python
    Alpine             apk add gcc musl-dev python3-dev
"""


class build_ext(setuptools_build_ext):
    def finalize_options(self) -> None:
        super().finalize_options()
        if sys.platform != "linux":
            # The package imports there too, and says that it has no queues.
            self.extensions: list[Extension] = []
            self.distribution.ext_modules = []

    def build_extensions(self) -> None:
        for header, what in (
            ("mqueue.h", "the C library's headers"),
            ("Python.h", "Python's headers"),
        ):
            self._require(header, what)
        super().build_extensions()

    def _require(self, header: str, what: str) -> None:
        """Compile a file that includes the header; where that fails, say what is missing."""
        include = [sysconfig.get_path("include"), sysconfig.get_path("platinclude")]
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(f"#include <{header}>\nint probe;\n")
            compiler = self.compiler.compiler[0]
            try:
                self.compiler.compile([str(source)], output_dir=folder, include_dirs=include)
            except CompileError as error:
                found = any(os.path.exists(os.path.join(path, header)) for path in include)
                if self._runs(compiler):
                    missing = f"{compiler} cannot compile a file that includes <{header}>"
                    missing += "" if found else f": {what} are missing"
                else:
                    missing = f"there is no C compiler: {compiler} does not run (the variable CC names another)"
                raise PlatformError(
                    f"posix_ipc_swig needs a C compiler and Python's headers, and {missing}. Install them:\n{INSTALL}"
                ) from error

    @staticmethod
    def _runs(compiler: str) -> bool:
        try:
            return subprocess.run([compiler, "--version"], capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def swig_sources(self, sources: list[str], extension: Extension) -> list[str]:
        """Return the C sources, the interface file among them translated into the build folder."""
        c_sources = []
        for source in sources:
            if not source.endswith(".i"):
                c_sources.append(source)
                continue
            folder = Path(self.build_temp, "swig")
            folder.mkdir(parents=True, exist_ok=True)
            target = str(folder / f"{Path(source).stem}_wrap.c")
            # SWIG writes a Python module too, which nothing needs: raw.py imports the C module itself.
            command = [
                self.find_swig(),
                "-python",
                *extension.swig_opts,
                "-outdir",
                str(folder),
                "-o",
                target,
                source,
            ]
            self.announce(" ".join(command), level=2)
            self.spawn(command)
            c_sources.append(target)
        return c_sources
