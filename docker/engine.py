"""The container engine: the only module that talks to it, through Docker's own SDK.

DOCKER_HOST and the contexts of the docker command are honoured. Files travel through the engine's API, so an engine on
another machine works the same.
"""

from __future__ import annotations

import codecs
import io
import tarfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import docker
import docker.errors
import requests
from docker.types import Ulimit
from tables import Profile

RUN_LABEL = "posix_ipc_swig.matrix.run"
# To the docker command; the engine has no such option, but two lists.
OPEN_PATHS = "systempaths=unconfined"
# Seconds that cleaning up waits for an engine that is asked for a container.
CREATE_LIMIT = 30
OnLine = Callable[[str], None]


class EngineError(Exception):
    """The engine does not answer, or refuses; the message says what to do."""


class Stopped(Exception):
    """The run was interrupted, and this container is gone."""


def tar_of(files: dict[str, bytes], modes: dict[str, int] | None = None) -> bytes:
    """Return a tar archive of files by their names."""
    buffer = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in sorted(files.items()):
            # Folders in so many words: those that an extraction makes by itself are root's.
            for parent in reversed(Path(name).parents):
                if str(parent) not in (".", *folders):
                    folders.add(str(parent))
                    entry = tarfile.TarInfo(str(parent))
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o777
                    archive.addfile(entry)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), (modes or {}).get(name, 0o644)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Container:
    """One container: steps run in it until it is removed."""

    engine: Engine
    id: str
    raised: bool

    def run(self, command: list[str], on_line: OnLine, user: str = "", limit: int = 1800) -> int:
        """Run a command, tell each line of its output, and return its exit status: 124 after `limit` seconds."""
        api = self.engine.client.api
        try:
            made = api.exec_create(self.id, ["timeout", "-k", "10", str(limit), *command], user=user)
            for line in lines_of(api.exec_start(made["Id"], stream=True)):
                on_line(line)
            status = api.exec_inspect(made["Id"])["ExitCode"]
        except (docker.errors.APIError, requests.RequestException) as error:
            if self.engine.stopping.is_set():
                raise Stopped from None
            raise EngineError(f"the engine could not run {' '.join(command)}: {error}") from error
        if self.engine.stopping.is_set():
            raise Stopped
        return int(status) if status is not None else 1

    def put(self, folder: str, files: dict[str, bytes]) -> None:
        self.engine.client.api.put_archive(self.id, folder, tar_of(files))

    def get(self, path: str) -> dict[str, bytes]:
        """Return the content of a file, or of a folder's files, by their names; of what is not there, nothing."""
        try:
            chunks, _ = self.engine.client.api.get_archive(self.id, path)
        except docker.errors.NotFound:
            if self.engine.stopping.is_set():
                raise Stopped from None
            return {}
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            files = ((member.name, archive.extractfile(member)) for member in archive)
            return {Path(name).name: file.read() for name, file in files if file}

    def commit(self, tag: str) -> None:
        """Keep the container's files as an image."""
        repository, _, version = tag.rpartition(":")
        self.engine.client.api.commit(self.id, repository, version)

    def remove(self) -> None:
        with suppress(docker.errors.APIError, requests.RequestException):
            self.engine.client.api.remove_container(self.id, force=True, v=True)


def lines_of(chunks: Iterator[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk).replace("\r\n", "\n")).split("\n")
        yield from lines
    if rest:
        yield rest


class Engine:
    """The engine that DOCKER_HOST, or the docker command's context, names."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.stopping = threading.Event()
        self.creating = 0  # containers that the engine is asked for and has not named yet
        self.created = threading.Condition()
        try:
            # Cells run in threads, and each has a connection of its own while a step runs.
            self.client = docker.from_env(timeout=3600, max_pool_size=64)
            self.client.ping()
            self.version = self.client.version()
            self.info = self.client.info()
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise EngineError(
                f"no Docker engine answers ({error}): start one (systemctl start docker), or name one with DOCKER_HOST "
                "or docker context use NAME"
            ) from error

    def describe(self) -> dict[str, Any]:
        return {
            "engine": f"{self.version.get('Platform', {}).get('Name') or 'Docker'} {self.version['Version']}".strip(),
            "kernel": f"Linux {self.info['KernelVersion']}",
            "machine": self.info["Architecture"],
            "system": self.info["OperatingSystem"],
            "processors": self.info["NCPU"],
            "memory_bytes": self.info["MemTotal"],
            "storage": self.info["Driver"],
            "cgroups": self.info.get("CgroupVersion", "1"),
        }

    def image_id(self, tag: str) -> str | None:
        try:
            return str(self.client.api.inspect_image(tag)["Id"])
        except docker.errors.NotFound:
            return None

    def pull(self, tag: str) -> None:
        repository, _, version = tag.partition(":")
        try:
            self.client.images.pull(repository, version or "latest")
        except docker.errors.APIError as error:
            raise EngineError(f"{tag} is not here and cannot be pulled ({error.explanation or error})") from error

    def build(
        self, tag: str, context: dict[str, bytes], arguments: dict[str, str], on_line: OnLine, anew: bool = False
    ) -> None:
        """Build an image from a context, under a tag; `anew`, without the layers that earlier builds have left.

        The classic builder and BuildKit take the same Dockerfile.
        """
        archive = io.BytesIO(tar_of(context))
        stream = self.client.api.build(
            fileobj=archive,
            custom_context=True,
            tag=tag,
            buildargs=arguments,
            nocache=anew,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in stream:
            if self.stopping.is_set():
                raise Stopped
            for line in event.get("stream", "").splitlines():
                on_line(line)
            if "error" in event:
                on_line(event["error"])
                raise EngineError(f"{tag} could not be built: {event['error']}")

    def start(
        self, image: str, profile: Profile | None = None, user: str = "", ipc_of: Container | None = None
    ) -> Container:
        """Start a container that waits for steps, without network, under a profile's limits.

        Limits of `raise_ulimits` are left as they are where the engine may not raise them: Container.raised says so.
        """
        profile = profile or Profile("", "")
        asked = {**profile.ulimits, **profile.raise_ulimits}
        attempts = (
            [(asked, bool(profile.raise_ulimits)), (profile.ulimits, False)]
            if profile.raise_ulimits
            else [(asked, False)]
        )
        for number, (ulimits, raised) in enumerate(attempts):
            settings = self.client.api.create_host_config(
                # The other one's namespace has its settings already.
                sysctls=None if ipc_of else {name: str(value) for name, value in profile.sysctls.items()},
                ulimits=[Ulimit(name=name, soft=value, hard=value) for name, value in ulimits.items()],
                cap_drop=list(profile.cap_drop),
                cap_add=list(profile.cap_add),
                security_opt=[option for option in profile.security_opt if option != OPEN_PATHS],
                ipc_mode=f"container:{ipc_of.id}" if ipc_of else "shareable",
                network_mode="none",
                # Tests write many small files; some run what they compile.
                tmpfs={"/tmp": "exec,mode=1777"},
                init=True,
            )
            if OPEN_PATHS in profile.security_opt:
                settings.update(MaskedPaths=[], ReadonlyPaths=[])
            with self.created:
                if self.stopping.is_set():
                    raise Stopped
                self.creating += 1
            try:
                made = self.client.api.create_container(
                    image, ["sleep", "infinity"], user=user, host_config=settings, labels={RUN_LABEL: self.run}
                )
            finally:
                with self.created:
                    self.creating -= 1
                    self.created.notify_all()
            container = Container(self, made["Id"], raised)
            if self.stopping.is_set():
                container.remove()
                raise Stopped
            try:
                self.client.api.start(container.id)
            except docker.errors.APIError as error:
                container.remove()
                if self.stopping.is_set():
                    raise Stopped from None
                if "rlimit" in str(error) and number + 1 < len(attempts):
                    continue
                raise EngineError(f"the container does not start: {error.explanation or error}") from error
            return container
        raise AssertionError("the last attempt starts or raises")

    def remove_all(self) -> int:
        """Remove every container of this run; return how many there were."""
        self.stopping.set()
        removed = 0
        # What is being created is in no list yet.
        with self.created:
            self.created.wait_for(lambda: self.creating == 0, CREATE_LIMIT)
        # A thread may be between creating one and finding out that it is to stop.
        while True:
            left = self.client.api.containers(all=True, filters={"label": f"{RUN_LABEL}={self.run}"})
            if not left:
                return removed
            for one in left:
                Container(self, one["Id"], False).remove()
                removed += 1
