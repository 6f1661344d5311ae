"""What the system is that this runs on, and what limits it was given. Prints JSON when run; standard library only."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RLIMIT_MSGQUEUE = 12
CAP_SYS_RESOURCE = 24


def output_of(*command: str) -> str | None:
    """Return what a command prints, or None where it cannot run."""
    with suppress(OSError, subprocess.CalledProcessError):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()
    return None


def processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def distribution() -> str:
    # platform.freedesktop_os_release() needs Python 3.10.
    with suppress(OSError), open("/etc/os-release") as file:
        for line in file:
            if line.startswith("PRETTY_NAME="):
                return line.split("=", 1)[1].strip().strip('"')
    return "unknown"


def c_library() -> str:
    with suppress(ValueError, OSError):
        version = os.confstr("CS_GNU_LIBC_VERSION")
        if version:
            return version
    for loader in Path("/lib").glob("ld-musl-*"):
        # It says what it is on its standard error, and fails as it was given nothing to run.
        said = subprocess.run([str(loader)], capture_output=True, text=True, check=False).stderr
        for line in said.splitlines():
            if line.startswith("Version "):
                return f"musl {line.split()[1]}"
        return "musl"
    return "unknown"


def capabilities() -> int:
    with open("/proc/self/status") as file:
        (effective,) = (int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    return effective


def describe_system() -> dict[str, Any]:
    compiler = (output_of("cc", "--version") or "none").splitlines()[0]
    uname = platform.uname()
    return {
        "distribution": distribution(),
        "kernel": f"{uname.system} {uname.release}",
        "machine": uname.machine,
        "processor": f"{processor()}, {os.cpu_count()} logical",
        "c_library": c_library(),
        "compiler": compiler,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
        "cap_sys_resource": bool(capabilities() >> CAP_SYS_RESOURCE & 1),
    }


def describe_limits() -> dict[str, Any]:
    """Return the sysctls of this IPC namespace, the byte limits, soft and hard (-1: none), and the capabilities."""
    sysctls = {}
    for file in sorted(Path("/proc/sys/fs/mqueue").iterdir()):
        sysctls[f"fs.mqueue.{file.name}"] = int(file.read_text())
    return {
        "sysctls": sysctls,
        "msgqueue": list(resource.getrlimit(RLIMIT_MSGQUEUE)),
        "capabilities": f"{capabilities():#x}",
    }


def describe_commit() -> dict[str, Any]:
    commit = output_of("git", "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "changed": None}
    return {"commit": commit, "changed": bool(output_of("git", "status", "--porcelain"))}


if __name__ == "__main__":
    print(json.dumps({"system": describe_system(), "given": describe_limits()}))
