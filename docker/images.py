"""Images, cached by the content of what they are built from.

A distribution's image has its compiler, its Pythons, tox and a wheelhouse: the Dockerfile makes it. A ready image has
this checkout as well, with tox's environments made in it: a change to the checkout makes only that one again.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import dependency_groups
import tables
from engine import Engine, EngineError
from tables import Distro

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
REPOSITORY = "posix-ipc-swig-matrix"
# What a cell does not need of the checkout: a change to it builds nothing again.
LEFT_OUT = ("docker", "report", "build", "dist", "CHANGELOG.md")
IN_CELLS = ("describing.py", "trying.py", "interop.py")
WORK = "/work"  # the container's folder, of the Dockerfile
WHEELS = "/opt/matrix/wheels"  # its wheelhouse
PEERS = "peers"
BENCH_ENV = "bench"


@dataclass(frozen=True)
class Source:
    """Where packages come from: the index that pip asks, whom it trusts, and wheels to take first."""

    ca_bundle: Path | None = None
    index_url: str = ""
    wheelhouse: Path | None = None
    no_index: bool = False


def environment_of(python: str) -> str:
    """Return tox's name for a Python: 3.13 is py313."""
    return "py" + python.replace(".", "")


def digest(parts: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name, content in sorted(parts.items()):
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:12]


def requirements() -> tuple[str, str]:
    """Return what the wheelhouse holds: what builds, tests and measures the package, and the peers beside it."""
    project: dict[str, Any] = tables.read(ROOT / "pyproject.toml")
    groups = project["dependency-groups"]
    needed = {*project["build-system"]["requires"], *dependency_groups.resolve(groups, "test", "bench")}
    peers = dependency_groups.resolve(groups, PEERS)
    return "".join(f"{line}\n" for line in sorted(needed)), "".join(f"{line}\n" for line in sorted(peers))


def context_of(distro: Distro, source: Source) -> dict[str, bytes]:
    """Return the build context: the Dockerfile says what is in it."""
    needed, peers = requirements()
    files = {
        "Dockerfile": HERE.joinpath("Dockerfile").read_bytes(),
        f"install/{distro.family}.sh": HERE.joinpath("install", f"{distro.family}.sh").read_bytes(),
        "install/python.sh": HERE.joinpath("install", "python.sh").read_bytes(),
        "install/trust.sh": HERE.joinpath("install", "trust.sh").read_bytes(),
        "inputs/requirements.txt": needed.encode(),
        "inputs/peers.txt": peers.encode(),
    }
    if source.ca_bundle:
        files["inputs/ca-bundle.pem"] = source.ca_bundle.read_bytes()
    if source.wheelhouse:
        for wheel in sorted(source.wheelhouse.glob("*.whl")):
            files[f"inputs/wheels/{wheel.name}"] = wheel.read_bytes()
    return files


def arguments_of(distro: Distro, source: Source) -> dict[str, str]:
    return {
        "BASE": distro.base,
        "FAMILY": distro.family,
        "PYTHONS": " ".join(distro.pythons),
        "PIP_INDEX_URL": source.index_url,
        "PIP_NO_INDEX": "1" if source.no_index else "",
    }


def checkout() -> dict[str, bytes]:
    """Return the files of the checkout that a cell works with, by their names."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        # An unpacked sdist.
        paths = list(ROOT.rglob("*"))
    tops = [(path, path.relative_to(ROOT).parts[0]) for path in paths]
    paths = [path for path, top in tops if top not in LEFT_OUT and not top.startswith(".")]
    paths += [HERE / name for name in IN_CELLS]
    files = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    }
    files["README.md"] = without_table(files["README.md"])
    return files


def state(files: dict[str, bytes], options: list[str]) -> str:
    """Return the digest of what a run's findings rest on: the checkout, the tables, the images' recipe, its options."""
    paths = [tables.DISTROS, tables.PROFILES, HERE / "Dockerfile", *HERE.joinpath("install").glob("*.sh")]
    told = {f"={path.name}": path.read_bytes() for path in paths}
    return digest({**files, **told, "=": "\0".join(options).encode()})


def without_table(readme: bytes) -> bytes:
    """Return the README without the matrix's table: a run changes that, and must build nothing again."""
    begin, end = re.escape(tables.BEGIN).encode(), re.escape(tables.END).encode()
    return re.sub(begin + b".*" + end, b"", readme, flags=re.DOTALL)


class Images:
    """Makes the images that cells run in, those that are not there."""

    def __init__(self, engine: Engine, source: Source, rebuild: bool = False) -> None:
        self.engine = engine
        self.source = source
        self.rebuild = rebuild
        self.files = checkout()

    def distribution(self, distro: Distro, tell: Callable[[str], None], log: Callable[[str], None]) -> str:
        """Return the tag of a distribution's image; it is built where it is not there."""
        base = self.engine.image_id(distro.base)
        if base is None:
            tell(f"pull {distro.base}")
            try:
                self.engine.pull(distro.base)
            except EngineError as error:
                family, _, version = distro.base.partition(":")
                made = f", or docker/make-debian-bases {version}" if family == "debian" else ""
                raise EngineError(f"{error}: docker pull {distro.base}{made}") from error
            base = self.engine.image_id(distro.base)
        context, arguments = context_of(distro, self.source), arguments_of(distro, self.source)
        told = {**context, **{f"={name}": value.encode() for name, value in arguments.items()}, "=": str(base).encode()}
        tag = f"{REPOSITORY}/{distro.name}:{digest(told)}"
        if self.rebuild or self.engine.image_id(tag) is None:
            tell("build image")
            self.engine.build(tag, context, arguments, log, self.rebuild)
        return tag

    def wheels(self, distro: Distro, log: Callable[[str], None]) -> dict[str, bytes]:
        """Return the wheels in a distribution's image, by their names; it is built where it is not there."""
        container = self.engine.start(self.distribution(distro, log, log))
        try:
            return container.get(WHEELS)
        finally:
            container.remove()

    def ready(self, distro: Distro, tell: Callable[[str], None], log: Callable[[str], None]) -> str:
        """Return the tag of a distribution's image with the checkout in it, and tox's environments made."""
        below = self.distribution(distro, tell, log)
        tag = f"{REPOSITORY}/{distro.name}:ready-{digest({**self.files, '=': below.encode()})}"
        if self.rebuild or self.engine.image_id(tag) is None:
            tell("build package")
            # No network: what the wheelhouse lacks would be missed here.
            container = self.engine.start(below, user="1000")
            try:
                container.put(WORK, self.files)
                names = ",".join([*map(environment_of, distro.pythons), BENCH_ENV])
                # Any uid works on it later, and tox keeps its folder to its user.
                make = f"tox run --notest --skip-missing-interpreters=false -e {names}"
                add = f".tox/{BENCH_ENV}/bin/python -m pip install --quiet --no-deps"
                peers = f'while read -r peer; do {add} "$peer" || :; done </opt/matrix/{PEERS}.txt'
                # The tests are compiled once here, not in every cell.
                environments = " ".join(map(environment_of, distro.pythons))
                collect = (
                    f"for name in {environments}; do .tox/$name/bin/pytest --collect-only -qq -p no:cacheprovider"
                    " || exit; done"
                )
                command = (
                    f"umask 0; {make} && {{ {peers}; }} && ({collect}); status=$?; chmod -R a+rwX .tox; exit $status"
                )
                status = container.run(["sh", "-c", command], log)
                if status != 0:
                    raise EngineError(f"tox could not make its environments on {distro.name}: exit status {status}")
                container.commit(tag)
            finally:
                container.remove()
        return tag
