"""How long a person with one photo waits: wall and CPU time of commands, before and after a commit.

    git worktree add /tmp/before e870fb6
    python benchmarks/startup.py --before /tmp/before --photo kodim23.webp

Both trees run by turns, each command as often, so that a shared machine is equally busy for both.
The minimum is what the machine can do; the median is what it did meanwhile.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = {
    "--help": ["--help"],
    "compress": ["compress", "{photo}", "-o", "{folder}/photo.ttk", "-f"],
    "info": ["info", "{folder}/photo.ttk"],
    "test": ["test", "{folder}/photo.ttk"],
    "decompress": ["decompress", "{folder}/photo.ttk", "-o", "{folder}/photo.png", "-f"],
    "compress to 966 B": [
        "compress",
        "{photo}",
        "--max-bytes",
        "966",
        "-o",
        "{folder}/966.ttk",
        "-f",
    ],
    "decompress 966 B": ["decompress", "{folder}/966.ttk", "-o", "{folder}/966.png", "-f"],
}


def run(tree: Path, words: list[str], compiled: Path) -> tuple[float, float]:
    """Run titokzip of a tree; seconds of the wall clock, and of the CPU.

    Its modules are compiled once, as pip compiles those that it installs.
    """
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", program(tree), *words],
        check=True, capture_output=True, env=environment, cwd=tempfile.gettempdir(),
    )  # fmt: skip
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def program(tree: Path) -> str:
    """Write what the installed script of a tree would do."""
    project = tomllib.loads((tree / "pyproject.toml").read_text())
    module, _, function = project["project"]["scripts"]["titokzip"].partition(":")
    return f"from {module} import {function} as main; main()"


def commit(tree: Path) -> str:
    words = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, default=HERE.parent)
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "startup.json")
    given = parser.parse_args()
    trees = {"before": given.before.resolve(), "after": given.after.resolve()}
    times = {tree: {name: [] for name in COMMANDS} for tree in trees}
    loads = []
    with tempfile.TemporaryDirectory() as folder:
        places = {"photo": str(given.photo.resolve())}
        for turn in range(given.runs + 1):  # the first compiles, and warms the disk's cache
            loads.append(os.getloadavg()[0])
            for name, words in COMMANDS.items():
                for tree, path in trees.items():
                    own = Path(folder, tree)
                    own.mkdir(exist_ok=True)
                    filled = [word.format(folder=own, **places) for word in words]
                    spent = run(path, filled, own / "compiled")
                    if turn:
                        times[tree][name].append(spent)
    result = {
        "photo": given.photo.name,
        "runs": given.runs,
        "load": [round(load, 1) for load in loads],
        "cores": os.cpu_count(),
        **{tree: {"commit": commit(path)} for tree, path in trees.items()},
    }
    for tree, commands in times.items():
        for name, spent in commands.items():
            walls, cpus = zip(*spent, strict=True)
            result[tree][name] = {
                "wall_min": round(min(walls), 3),
                "wall_median": round(statistics.median(walls), 3),
                "cpu_min": round(min(cpus), 3),
                "cpu_median": round(statistics.median(cpus), 3),
            }
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    for name in COMMANDS:
        old, new = (result[tree][name] for tree in trees)
        print(
            f"{name:<17} wall {old['wall_min']:6.2f} -> {new['wall_min']:6.2f} s"
            f"   cpu {old['cpu_min']:6.2f} -> {new['cpu_min']:6.2f} s"
        )


if __name__ == "__main__":
    main()
