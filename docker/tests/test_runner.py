"""The runner, on an engine that is none: what is scheduled, what a failure costs, what is resumed."""

from __future__ import annotations

import io
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import engine
import images
import matrix
import pytest
import results
import tables
from conftest import SYSTEM
from engine import EngineError, Stopped
from rich.console import Console

LIMIT = 30

JUNIT = b'<testsuite><testcase classname="tests.test_a" name="test_b" time="0.1"/></testsuite>'
FAILING = JUNIT.replace(b'time="0.1"/>', b'time="0.1"><failure>no</failure></testcase>')
BENCH = {
    "group": "64 bytes",
    "extra_info": {"subject": "C loop", "version": "1", "size": 64, "timeout": None},
    "stats": {**dict.fromkeys(("min", "q1", "median", "q3", "max"), 1e-6), "rounds": 3},
}
OURS = {**BENCH["extra_info"], "subject": "posix_ipc_swig"}


class FakeContainer:
    """Answers each step as a cell would."""

    def __init__(self, engine, image, profile, user):
        self.engine, self.image, self.profile, self.user = engine, image, profile, user
        self.id, self.raised = "fake", False

    def run(self, command, on_line, user="", limit=0):
        if self.engine.stopping.is_set():
            raise Stopped
        text = " ".join(command)
        on_line(f"$ {text}")
        with self.engine.lock:
            self.engine.running.append((text, self.image, user))
            beside = [one for one in self.engine.running if one[0] != text or one[1:] != (self.image, user)]
            self.engine.beside.append(((text, user), [(one[0], one[2]) for one in beside]))
        try:
            return self.engine.answer(self, text, on_line)
        finally:
            with self.engine.lock:
                self.engine.running.remove((text, self.image, user))

    def put(self, folder, files):
        pass

    def get(self, path):
        if path == images.WHEELS:
            return {f"{len(self.engine.built)}-py3-none-any.whl": b"wheel", "shared-py3-none-any.whl": b"wheel"}
        if path.endswith("bench.json"):
            return {"bench.json": json.dumps({"benchmarks": [BENCH, {**BENCH, "extra_info": OURS}]}).encode()}
        return {path.rpartition("/")[2]: FAILING if self.engine.fails(self, "junit") else JUNIT}

    def commit(self, tag):
        self.engine.here.add(tag)

    def remove(self):
        with self.engine.lock:
            self.engine.containers.remove(self)


class FakeEngine:
    """An engine whose containers are lists of answers."""

    missing: tuple = ()
    failing: tuple = ()

    def __init__(self, run):
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.containers, self.running, self.beside, self.built = [], [], [], []
        self.here = set()
        self.info = {"NCPU": 3}

    def describe(self):
        return {
            "engine": "fake",
            "kernel": "Linux",
            "machine": "m",
            "system": "s",
            "processors": 3,
            "storage": "x",
            "cgroups": "2",
        }

    def image_id(self, tag):
        if tag in self.missing:
            return None
        return "id" if tag in self.here or not tag.startswith(images.REPOSITORY) else None

    def pull(self, tag):
        raise EngineError(f"{tag} is not here and cannot be pulled (no such host)")

    def build(self, tag, context, arguments, log, anew):
        self.built.append(tag)
        self.here.add(tag)

    def start(self, image, profile=None, user="", ipc_of=None):
        container = FakeContainer(self, image, profile, user)
        with self.lock:
            self.containers.append(container)
        return container

    def fails(self, container, what):
        return any(part in container.image and what == step for part, step in self.failing)

    def answer(self, container, text, on_line):
        if self.fails(container, "tests") and "tox run --skip-pkg-install" in text:
            return 1
        if self.fails(container, "crash") and "describing.py" in text:
            raise RuntimeError("a defect of the runner")
        if "describing.py" in text:
            profile = container.profile
            given = {
                "sysctls": dict(profile.sysctls),
                "msgqueue": [profile.ulimits.get("msgqueue", 819200)] * 2,
                "capabilities": "0x0",
            }
            on_line(json.dumps({"system": SYSTEM, "given": given}))
        elif "trying.py" in text:
            on_line(
                json.dumps(
                    [
                        {
                            "limit": "l",
                            "predicted": 1,
                            "found": 1,
                            "verdict": "passed",
                            "note": "",
                            "meaning": "m",
                            "unit": "",
                        }
                    ]
                )
            )
        elif "interop.py" in text:
            on_line(json.dumps({"side": "first", "messages": 10000, "seconds": 1.0, "system": SYSTEM}))
        return 0

    def remove_all(self):
        self.stopping.set()
        count = len(self.containers)
        self.containers.clear()
        return count


@pytest.fixture
def run_matrix(monkeypatch, tmp_path):
    """Run the matrix's command on the fake engine; return its exit status, its report, the engine and its output."""

    def run(*arguments, **engine):
        made = []

        class Engine(FakeEngine):
            def __init__(self, run):
                super().__init__(run)
                made.append(self)

        for key, value in engine.items():
            setattr(Engine, key, value)
        output = io.StringIO()
        monkeypatch.setattr(matrix, "Engine", Engine)
        monkeypatch.setattr(matrix, "Console", lambda: Console(file=output, width=200))
        monkeypatch.setattr(matrix.signal, "signal", lambda *_: None)
        monkeypatch.setattr(tables.write_results, "__defaults__", (tmp_path / "results.json",))
        readme = tmp_path / "README.md"
        readme.write_text(tables.HERE.parent.joinpath("README.md").read_text())
        monkeypatch.setattr(tables, "README", readme)
        monkeypatch.setattr("sys.argv", ["matrix.py", "--output", str(tmp_path), *arguments])
        status = matrix.main()
        path = tmp_path / "report.json"
        found = json.loads(path.read_text()) if path.exists() else None
        return status, found, made[0] if made else None, output.getvalue()

    return run


SOME = ("--distro", "debian-1[123]", "--profile", "default", "--profile", "root", "--job", "tests", "--job", "limits")


def test_everything_passes(run_matrix, tmp_path):
    status, found, engine, output = run_matrix(*SOME)
    assert status == 0
    assert [cell["verdict"] for cell in found["cells"]] == ["passed"] * 6
    assert engine.containers == []
    assert "6 passed" in output
    for cell in found["cells"]:
        assert "docker/trying.py" in (tmp_path / cell["log"]).read_text()
        assert (tmp_path / cell["jobs"]["tests"]["pythons"][0]["junit"]).exists()


def test_an_image_is_made_once_for_all_its_cells(run_matrix):
    _, _, engine, _ = run_matrix(*SOME)
    assert len(engine.built) == len(set(engine.built)) == 3


def test_images_of_several_distributions_are_made_at_once(run_matrix):
    together = threading.Barrier(3)

    def build(self, tag, context, arguments, log, anew):
        together.wait(LIMIT)
        FakeEngine.build(self, tag, context, arguments, log, anew)

    assert run_matrix(*SOME, "--jobs", "3", build=build)[0] == 0


def test_the_wheels_of_images_can_be_saved(run_matrix, tmp_path):
    status, _, engine, output = run_matrix(*SOME, "--save-wheelhouse", str(tmp_path / "wheels"))
    assert status == 0
    assert "4 wheels in" in output
    names = ["1-py3-none-any.whl", "2-py3-none-any.whl", "3-py3-none-any.whl", "shared-py3-none-any.whl"]
    assert sorted(path.name for path in tmp_path.joinpath("wheels").iterdir()) == names
    assert (engine.containers, engine.beside) == ([], [])


def test_two_cells_of_root_never_run_at_once(run_matrix):
    _, _, engine, _ = run_matrix(*SOME, "--jobs", "6")
    for (_, user), beside in engine.beside:
        if user == "0:0":
            assert not any(other == "0:0" for _, other in beside)


def test_cells_of_an_ordinary_user_have_a_uid_each(run_matrix):
    _, _, engine, _ = run_matrix(*SOME)
    users = {user for (text, user), _ in engine.beside if "trying.py" in text and user != "0:0"}
    assert len(users) == 3
    assert all(int(user.split(":")[0]) >= 20_000 for user in users)


def test_a_benchmark_runs_beside_nothing(run_matrix):
    status, found, engine, _ = run_matrix(*SOME[:-4], "--jobs", "6")
    assert status == 0
    measured = [beside for (text, _), beside in engine.beside if "--benchmark-json" in text]
    assert len(measured) == 6
    assert measured == [[]] * 6
    assert all("bench" in cell["jobs"] for cell in found["cells"] if not cell.get("other"))


@pytest.mark.parametrize("failing", ["tests", "junit", "crash"])
def test_one_cells_failure_stops_no_other(run_matrix, failing):
    status, found, engine, output = run_matrix(*SOME, failing=(("debian-12", failing),))
    verdicts = {(cell["distro"], cell["verdict"]) for cell in found["cells"]}
    assert verdicts == {("debian-11", "passed"), ("debian-12", "failed"), ("debian-13", "passed")}
    assert status == 1
    assert engine.containers == []
    assert "debian-12, default: failed" in output
    failed = next(cell for cell in found["cells"] if cell["verdict"] == "failed")
    assert "docker/describing.py" in failed["log_tail"]


def test_a_crash_of_its_tests_is_not_forgotten_when_its_benchmarks_succeed(run_matrix):
    def answer(self, container, text, on_line):
        if "tox run --skip-pkg-install" in text:
            raise RuntimeError("a defect of the runner")
        return FakeEngine.answer(self, container, text, on_line)

    chosen = ("--distro", "debian-13", "--profile", "user", "--job", "tests", "--job", "bench")
    status, found, _, _ = run_matrix(*chosen, answer=answer)
    (cell,) = found["cells"]
    assert (status, cell["verdict"], set(cell["jobs"])) == (1, "failed", {"bench"})
    assert "a defect of the runner" in cell["reason"]
    # And resuming does again what is absent, and that alone.
    status, found, engine, _ = run_matrix(*chosen, "--resume", answer=FakeEngine.answer)
    (cell,) = found["cells"]
    assert (status, cell["verdict"], set(cell["jobs"])) == (0, "passed", {"bench", "tests"})
    assert not any("--benchmark-json" in text for (text, _), _ in engine.beside)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_cell_whose_benchmarks_were_interrupted_has_not_passed(run_matrix, monkeypatch, when):
    work = matrix.Runner.work

    def interrupted(self, waiting, workers):
        measures = all(unit.jobs == ("bench",) for unit in waiting)
        if not (measures and when == "before"):
            work(self, waiting, workers)
        if measures:
            raise KeyboardInterrupt

    def answer(self, container, text, on_line):
        if "--benchmark-json" in text:
            raise Stopped
        return FakeEngine.answer(self, container, text, on_line)

    monkeypatch.setattr(matrix.Runner, "work", interrupted)
    chosen = ("--distro", "debian-13", "--profile", "user", "--job", "limits", "--job", "bench")
    status, found, _, output = run_matrix(*chosen, answer=answer)
    assert status == 130
    assert [(cell["verdict"], set(cell["jobs"])) for cell in found["cells"]] == [("not run", {"limits"})]
    assert "1 not run" in output


def test_a_missing_image_says_what_to_run_and_stops_no_other(run_matrix):
    status, found, _, output = run_matrix(*SOME, missing=("debian:12",))
    assert status == 1
    assert "docker pull debian:12, or docker/make-debian-bases 12" in output
    assert [cell["verdict"] for cell in found["cells"] if cell["distro"] == "debian-12"] == ["not run", "not run"]
    assert {cell["verdict"] for cell in found["cells"] if cell["distro"] != "debian-12"} == {"passed"}


def test_resume_runs_what_has_not_passed(run_matrix):
    run_matrix(*SOME, failing=(("debian-12", "tests"),))
    status, found, engine, _ = run_matrix(*SOME, "--resume", failing=())
    ran = {container[0][0] for container in engine.beside}
    assert status == 0
    assert len(found["cells"]) == 6
    assert len([text for text in ran if "tox run --skip-pkg-install" in text]) == 1
    # Its limits had passed.
    assert not any("trying.py" in text for text in ran)
    assert run_matrix(*SOME, "--resume")[0] == 0
    assert "everything has passed already" in run_matrix(*SOME, "--resume")[3]


def recorded(folder):
    path = folder / "results.json"
    found = json.loads(path.read_text())["distros"] if path.exists() else {}
    return {name: row["profiles"]["default"]["verdict"] for name, row in found.items()}


def test_resume_corrects_what_was_recorded(run_matrix, tmp_path):
    run_matrix(*SOME, failing=(("debian-12", "tests"),))
    assert recorded(tmp_path) == {"debian-11": "passed", "debian-12": "failed", "debian-13": "passed"}
    run_matrix(*SOME, "--resume", failing=())
    assert recorded(tmp_path) == dict.fromkeys(("debian-11", "debian-12", "debian-13"), "passed")


@pytest.mark.parametrize("option", ["--no-record", "--pytest=-k nothing"])
def test_a_part_of_the_tests_is_not_recorded(run_matrix, tmp_path, option):
    assert run_matrix(*SOME, option)[0] == 0
    assert recorded(tmp_path) == {}


def test_resume_of_another_checkout_runs_everything(run_matrix, monkeypatch):
    run_matrix(*SOME)
    monkeypatch.setattr(images, "checkout", lambda: {"README.md": b"", "changed": b""})
    _, _, engine, output = run_matrix(*SOME, "--resume")
    assert "another state" in output
    assert len([one for one in engine.beside if "trying.py" in one[0][0]]) == 6


@pytest.mark.parametrize("table", ["PROFILES", "DISTROS"])
def test_resume_with_another_table_runs_everything(run_matrix, monkeypatch, tmp_path, table):
    run_matrix(*SOME)
    changed = tmp_path / getattr(tables, table).name
    changed.write_text(getattr(tables, table).read_text() + "# changed\n")
    monkeypatch.setattr(tables, table, changed)
    _, _, engine, output = run_matrix(*SOME, "--resume")
    assert "another state" in output
    assert len([one for one in engine.beside if "trying.py" in one[0][0]]) == 6


def test_resume_after_some_of_the_tests_runs_everything(run_matrix):
    run_matrix(*SOME, "--pytest=-k nothing")
    assert "everything runs" in run_matrix(*SOME, "--resume")[3]


def test_the_state_follows_the_recipe_of_images(monkeypatch, tmp_path):
    before = images.state({}, [])
    here = tmp_path / "docker"
    shutil.copytree(tables.HERE, here, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    monkeypatch.setattr(images, "HERE", here)
    assert images.state({}, []) == before
    for name in ("Dockerfile", "install/apt.sh"):
        with here.joinpath(name).open("a") as file:
            file.write("# changed\n")
        assert images.state({}, []) != before
        before = images.state({}, [])


def test_an_interrupt_removes_every_container_and_keeps_what_was_found(run_matrix, monkeypatch):
    work = matrix.Runner.work

    def interrupted(self, waiting, workers):
        work(self, waiting[:2], 1)
        self.engine.start("left over")
        raise KeyboardInterrupt

    monkeypatch.setattr(matrix.Runner, "work", interrupted)
    status, found, engine, output = run_matrix(*SOME)
    assert status == 130
    assert engine.containers == []
    assert "1 containers removed" in output
    assert "2 passed" in output
    assert "--resume" in output
    assert results.finish(found)["verdict"] == "not run"


class SlowApi:
    """An engine's API, which takes until it is told to make a container."""

    def __init__(self):
        self.asked, self.go = threading.Event(), threading.Event()
        self.made, self.started = set(), []

    def create_host_config(self, **settings):
        return settings

    def create_container(self, *arguments, **settings):
        self.asked.set()
        assert self.go.wait(LIMIT)
        self.made.add("one")
        return {"Id": "one"}

    def start(self, name):
        self.started.append(name)

    def containers(self, **settings):
        return [{"Id": name} for name in self.made]

    def remove_container(self, name, **settings):
        self.made.discard(name)


def test_a_container_that_is_being_made_when_the_run_stops_is_removed(monkeypatch):
    api = SlowApi()
    client = SimpleNamespace(api=api, ping=dict, version=dict, info=dict)
    monkeypatch.setattr(engine.docker, "from_env", lambda **_: client)
    one = engine.Engine("run")
    with ThreadPoolExecutor() as threads:
        starting = threads.submit(one.start, "image")
        assert api.asked.wait(LIMIT)
        removing = threads.submit(one.remove_all)
        assert one.stopping.wait(LIMIT)
        api.go.set()
        with pytest.raises(Stopped):
            starting.result(LIMIT)
        removing.result(LIMIT)
    assert (api.made, api.started) == (set(), [])


def test_interop_takes_both_sides_word_for_it(run_matrix):
    chosen = ("--distro", "debian-11", "--distro", "debian-sid", "--profile", "user", "--job", "interop")
    status, found, _, _ = run_matrix(*chosen)
    (cell,) = found["cells"]
    assert (status, cell["verdict"], cell["other"]) == (0, "passed", "debian-sid")

    def answer(self, container, text, on_line):
        return 1 if "second" in text else FakeEngine.answer(self, container, text, on_line)

    status, found, _, _ = run_matrix(*chosen, answer=answer)
    assert (status, found["cells"][0]["verdict"]) == (1, "failed")


def test_limits_that_the_engine_did_not_set_fail_the_cell(run_matrix):
    def answer(self, container, text, on_line):
        if "describing.py" in text:
            given = {"sysctls": {"fs.mqueue.msg_max": 77}, "msgqueue": [1, 1], "capabilities": "0x0"}
            on_line(json.dumps({"system": SYSTEM, "given": given}))
            return 0
        return FakeEngine.answer(self, container, text, on_line)

    status, _, _, output = run_matrix(*SOME[:-6], "--profile", "default", "--job", "limits", answer=answer)
    assert status == 1
    assert "fs.mqueue.msg_max is 77, not 10" in output


def context(distro="debian-13", **source):
    (row,) = [one for one in tables.read_distros() if one.name == distro]
    return images.context_of(row, images.Source(**source)), images.arguments_of(row, images.Source(**source))


def test_the_build_gets_bundle_index_and_wheelhouse(tmp_path):
    bundle, wheels = tmp_path / "ca.pem", tmp_path / "wheels"
    bundle.write_text("certificates")
    wheels.mkdir()
    (wheels / "a-1-py3-none-any.whl").write_text("wheel")
    files, arguments = context(
        ca_bundle=bundle, wheelhouse=wheels, index_url="https://index.example/simple", no_index=True
    )
    assert files["inputs/ca-bundle.pem"] == b"certificates"
    assert files["inputs/wheels/a-1-py3-none-any.whl"] == b"wheel"
    assert arguments["PIP_INDEX_URL"] == "https://index.example/simple"
    assert arguments["PIP_NO_INDEX"] == "1"


def test_the_package_manager_trusts_the_bundle_before_it_fetches_anything(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    files, _ = context(distro="fedora-44", ca_bundle=bundle)
    assert "install/trust.sh" in files
    recipe = files["Dockerfile"].decode()
    copied, trusted, fetched = (
        recipe.index(text)
        for text in ("inputs/ca-bundle.pe", "sh /opt/matrix/trust.sh", '"/opt/matrix/install/${FAMILY}.sh"')
    )
    assert copied < trusted < fetched


def test_an_images_name_follows_what_it_is_built_from(tmp_path):
    one, _ = context()
    assert images.digest(one) == images.digest(context()[0])
    changed = {**one, "install/python.sh": b"true"}
    assert images.digest(one) != images.digest(changed)
    moved = {**one, "install/other.sh": one["install/python.sh"]}
    assert images.digest(one) != images.digest(moved)


def test_the_readmes_table_builds_nothing_again(monkeypatch):
    text = tables.README.read_text()
    monkeypatch.setattr(tables, "readme_table", lambda: "another table")
    changed = tables.readme_with_table(text)
    assert changed != text
    assert (
        images.without_table(changed.encode()) == images.without_table(text.encode()) == images.checkout()["README.md"]
    )
