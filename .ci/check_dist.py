"""Build sdist and wheels; check that both ways make the same wheel, and that it holds only what runs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path


def build(source: Path, out: Path, *options: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), *options, str(source)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def members(folder: Path) -> dict[str, bytes]:
    """Return what a folder's one wheel holds, without the list of its own checksums."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if not name.endswith("/RECORD")}


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    work = Path(sys.argv[1]).resolve()
    from_tree, from_sdist = work / "tree", work / "sdist"
    build(root, from_tree, "--wheel")
    build(root, from_sdist)  # the sdist, and the wheel from it
    one, other = members(from_tree), members(from_sdist)
    if one.keys() != other.keys():
        sys.exit(f"the wheels differ in their files: {sorted(one.keys() ^ other.keys())}")
    # Debug information names the folder of the build, so the extension may differ; nothing else may.
    differ = [name for name in one if one[name] != other[name] and not name.endswith(".so")]
    if differ:
        sys.exit(f"the wheels differ in {differ}")
    needed = (".py", ".pyi", ".so", "py.typed")
    strange = [name for name in one if not name.endswith(needed) and ".dist-info/" not in name]
    if strange:
        sys.exit(f"the wheel holds what no program needs: {strange}")
    print(f"sdist and checkout make the same wheel, of {len(one)} files:", *sorted(one), sep="\n  ")


if __name__ == "__main__":
    main()
