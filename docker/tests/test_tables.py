"""The tables: what they may say, what a choice of them means, and that README and CI follow them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest
import tables

DISTROS = tables.read_distros()
PROFILES = tables.read_profiles()


def plan(**chosen):
    return tables.plan(DISTROS, PROFILES, **{f"chosen_{key}": value for key, value in chosen.items()})


def test_the_profiles_that_are_promised_are_there():
    assert {"default", "raised", "tight", "user", "root"} <= {profile.name for profile in PROFILES}


def test_each_family_has_its_install_step():
    for distro in DISTROS:
        assert tables.HERE.joinpath("install", f"{distro.family}.sh").exists()


@pytest.mark.parametrize("installed", [True, False])
def test_fedoras_own_python_has_no_version_in_its_packages_name(tmp_path, installed):
    """dnf.sh, with programs in place of rpm and dnf that answer as they do on a bare Fedora, or on a fuller one."""
    answer = "printf 3.14.2" if installed else "echo package python3 is not installed; exit 1"
    # With --quiet it prints nothing.
    rpm = f'case "$*" in *--quiet*) {"exit 0" if installed else "exit 1"} ;; esac\n{answer}\n'
    dnf = f'case "$*" in *repoquery*) echo 3.14.2 ;; *install*) echo "$@" >{tmp_path}/asked ;; esac\n'
    for name, text in {"rpm": rpm, "dnf": dnf, "useradd": ""}.items():
        tmp_path.joinpath(name).write_text("#!/bin/sh\n" + text)
        tmp_path.joinpath(name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONS": "3.14 3.13"}
    subprocess.run(["sh", str(tables.HERE / "install" / "dnf.sh")], env=environment, check=True)
    asked = tmp_path.joinpath("asked").read_text().split()
    assert asked[-4:] == ["python3", "python3-devel", "python3.13", "python3.13-devel"]


def test_everything_is_every_distribution_under_every_profile_and_interop():
    cells = plan()
    alone = [cell for cell in cells if not cell.other]
    assert {cell.key for cell in alone} == {(d.name, p.name) for d in DISTROS for p in PROFILES}
    assert all(cell.pythons == cell.distro.pythons for cell in alone)
    assert {cell.profile.name for cell in cells if cell.other} == {profile.name for profile in PROFILES}
    assert len({cell.key for cell in cells}) == len({cell.file_name for cell in cells}) == len(cells)


def test_interop_pairs_the_oldest_with_the_newest_and_musl_with_glibc():
    (pair,) = plan(distros=["debian-*"], profiles=["default"], jobs=["interop"])
    assert (pair.distro.name, pair.other.name) == ("debian-11", "debian-sid")
    pairs = plan(distros=["debian-1[23]", "alpine-*"], profiles=["user"], jobs=["interop"])
    assert [(pair.distro.libc, pair.other.name) for pair in pairs] == [
        ("glibc", "debian-13"),
        ("musl", "debian-13"),
        ("musl", "debian-13"),
    ]


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({"distros": ["debian-*"], "profiles": ["default"], "jobs": ["tests"]}, 5),
        ({"distros": ["debian-12", "debian-13"], "profiles": ["*"], "jobs": ["limits"]}, 2 * len(PROFILES)),
        ({"distros": ["debian-*"], "profiles": ["user"], "pythons": ["3.1[45]"], "jobs": ["tests"]}, 2),
        ({"distros": ["debian-12"], "profiles": ["user"], "jobs": ["interop"]}, 0),
    ],
)
def test_choices_are_globs_and_repeat(chosen, count):
    assert len(plan(**chosen)) == count


def test_a_python_that_is_chosen_is_the_only_one():
    for cell in plan(distros=["debian-sid"], pythons=["3.14"], jobs=["tests"]):
        assert cell.pythons == ("3.14",)


@pytest.mark.parametrize(
    "chosen", [{"distros": ["plan9"]}, {"profiles": ["none"]}, {"pythons": ["2.7"]}, {"jobs": ["dance"]}]
)
def test_a_choice_that_names_nothing_says_what_there_is(chosen):
    with pytest.raises(tables.TableError, match="there are: "):
        plan(**chosen)


ROW = 'title = "T"\nbase = "b:1"\nfamily = "apt"\npythons = ["3.13"]\nlibc = "glibc"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a]\n" + ROW.replace("apt", "dpkg"), "family"),
        ("[a]\n" + ROW.replace("glibc", "libc5"), "libc"),
        ("[a]\n" + ROW.replace('"3.13"', ""), "no Python"),
        ("[a]\n" + ROW + 'colour = "red"\n', "colour"),
        ("[a]\n" + ROW.replace('base = "b:1"\n', ""), "base"),
        ("[a\n", "distros.toml"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path, text, complaint):
    path = tmp_path / "distros.toml"
    path.write_text(text)
    with pytest.raises(tables.TableError, match=complaint):
        tables.read_distros(path)


def test_one_row_adds_a_distribution_and_another_a_profile(tmp_path):
    distros, profiles = tmp_path / "distros.toml", tmp_path / "profiles.toml"
    distros.write_text(tables.DISTROS.read_text() + "[new-1]\n" + ROW)
    profiles.write_text(tables.PROFILES.read_text() + '[odd]\ntitle = "odd"\n')
    cells = tables.plan(tables.read_distros(distros), tables.read_profiles(profiles), chosen_jobs=["tests"])
    assert len(cells) == (len(DISTROS) + 1) * (len(PROFILES) + 1)
    assert ("new-1", "odd") in {cell.key for cell in cells}


def test_the_readme_has_the_table_of_the_last_results():
    assert tables.README.read_text() == tables.readme_with_table(tables.README.read_text())


def test_what_never_ran_is_not_run(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "none.json")
    monkeypatch.setattr(tables, "read_results", lambda path=tmp_path / "none.json": {"distros": {}})
    lines = tables.readme_table().splitlines()[2:]
    assert len(lines) == len(DISTROS)
    assert all(line.count("not run") == len(PROFILES) + 1 for line in lines)


def test_results_keep_what_was_found_before(sample, tmp_path):
    path = tmp_path / "results.json"
    pythons = {distro.name: distro.pythons[0] for distro in DISTROS}
    for cell in sample["cells"]:
        for python in cell["jobs"].get("tests", {}).get("pythons", ()):
            python["version"] = pythons[cell["distro"]]
    tables.write_results(sample, path)
    first = json.loads(path.read_text())
    assert first["distros"]["debian-11"]["profiles"]["user"]["verdict"] == "failed"
    assert "user" not in first["distros"]["debian-13"]["profiles"]
    assert first["interop"]["debian-11 with debian-13"]["default"]["verdict"] == "passed"
    sample["cells"] = [cell for cell in sample["cells"] if cell["distro"] == "debian-13"]
    sample["cells"][0]["started"] = "2026-02-02T00:00:00+00:00"
    tables.write_results(sample, path)
    second = json.loads(path.read_text())
    assert second["distros"]["debian-11"] == first["distros"]["debian-11"]
    assert second["distros"]["debian-13"]["profiles"]["default"]["date"] == "2026-02-02"


def test_some_of_a_cells_pythons_or_jobs_are_no_result_of_the_cell(sample, tmp_path):
    path = tmp_path / "results.json"
    sample["cells"] = sample["cells"][:1]
    del sample["cells"][0]["jobs"]["limits"]
    tables.write_results(sample, path)
    assert json.loads(path.read_text())["distros"] == {}


def run_matrix(*arguments):
    return subprocess.run(
        [sys.executable, str(tables.HERE / "matrix.py"), *arguments], capture_output=True, text=True, check=False
    )


def test_list_shows_the_plan_and_needs_no_engine(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    done = run_matrix("--list", "--distro", "debian-*", "--profile", "tight", "--job", "limits")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "5 cells"


def test_without_an_engine_it_says_what_to_start(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    done = run_matrix("--distro", "debian-13", "--output", str(tmp_path), "--no-record")
    assert done.returncode == 2
    assert "start one" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_github_plan_is_the_same_cells():
    done = run_matrix("--plan", "github", "--distro", "debian-*")
    entries = json.loads(done.stdout)["include"]
    cells = plan(distros=["debian-*"])
    assert len(entries) == len(cells)
    assert len({entry["file"] for entry in entries}) == len(entries)
    for entry, cell in zip(entries, cells):
        listed = run_matrix("--list", *shlex.split(entry["arguments"])) if cell in (cells[0], cells[-1]) else None
        if listed:
            assert listed.stdout.splitlines()[-1] == "1 cells"
            assert listed.stdout.startswith(f"{cell.name}, {cell.profile.name}:")


def test_all_cells_fit_a_github_matrix():
    assert len(plan()) <= 256
