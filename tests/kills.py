"""Kills the program at random moments, resumes it, and compares the files with those of an undisturbed run, byte by byte.

    python3 tests/kills.py --program target/release/medcoss --kills 1000
    python3 tests/kills.py --program target/release/medcoss --kills 20 --ranks 4

With --ranks the runs are MPI jobs of one, two or four ranks, another number after each kill, and one rank of a job is killed.

Runs of three stages with materialised buffers are killed (SIGKILL) and resumed, and so are `stage add`, `eval` and `compare`. Only the files of
times (`timing.jsonl`) and the lock may differ. Exit code 1 where a byte differs or a command fails.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """
[model]
width = 32
layers = 2
heads = 2
decoder_width = 32
decoder_layers = 1
decoder_heads = 2
[buffer]
store = "materialised"
ratio = 0.3
cluster_ratio = 0.1
[training]
epochs = 2
batch_size = 4
gradient_accumulation = ACCUMULATION
checkpoint_every_steps = 2
[[stage]]
modality = "xray"
data = "xray"
options = { size = 32, labels = { file = "xray/labels.csv", key_column = "file", label_column = "finding" } }
[[stage]]
modality = "text"
data = "text/labelled.csv"
options = { text_column = "report", max_length = 16, vocab_size = 200 }
[[stage]]
modality = "pathology"
data = "pathology"
options = { size = 32 }
"""

TASKS = """
[[task]]
name = "findings"
modality = "xray"
data = "xray"
protocol = "knn"
k = 3
"""

NOT_COMPARED = {"timing.jsonl", ".lock"}


def content(folder):
    """Bytes of every compared file below a folder, by path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in NOT_COMPARED}


def n_differing(expected, found):
    """Number of bytes that differ; a missing or additional file counts with all of its bytes."""
    n = 0
    for name in expected.keys() | found.keys():
        one, other = expected.get(name, b""), found.get(name, b"")
        if one != other:
            n += abs(len(one) - len(other)) + sum(a != b for a, b in zip(one, other))
            print(f"  {name} differs")
    return n


#: As superuser and with more ranks than cores, as in a container.
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n"]


class Killer:
    def __init__(self, program, folder, seed, most_ranks):
        self.program, self.folder, self.draws, self.most_ranks = program, folder, random.Random(seed), most_ranks
        self.n_kills, self.n_differing, self.n_failed, self.by_kind = 0, 0, 0, {}
        self.longest_end = 0.0

    def command_line(self, arguments):
        """The command as a process, or as a job of a random number of ranks. `synth`, `eval` and `compare` are processes."""
        if self.most_ranks == 1 or arguments[0] not in ("pretrain", "resume", "stage"):
            return [self.program, *arguments]
        n_ranks = self.draws.choice([n for n in (1, 2, 4) if n <= self.most_ranks])
        return [*MPIRUN, str(n_ranks), self.program, *arguments, "--ranks", "mpi"]

    def kill_one(self, child):
        """Kills a process, or one rank of a job; mpirun ends the others. Waits for the end."""
        ranks = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True).stdout.split()
        if child.args[0] != "mpirun" or not ranks:
            child.kill()
        for rank in self.draws.sample(ranks, min(1, len(ranks))):
            subprocess.run(["kill", "-KILL", rank], stderr=subprocess.DEVNULL)
        began = time.monotonic()
        child.wait()
        self.longest_end = max(self.longest_end, time.monotonic() - began)

    def run(self, arguments):
        """Runs a command to its end and returns its duration in seconds."""
        began = time.monotonic()
        done = subprocess.run(self.command_line(arguments), cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            self.n_failed += 1
            print(f"  {' '.join(arguments)} failed: {done.stderr}")
        return time.monotonic() - began

    def kill(self, arguments, whole, kind):
        """Kills a command after a random fraction of its undisturbed duration. Returns whether it was still running."""
        child = subprocess.Popen(
            self.command_line(arguments), cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            child.wait(self.draws.uniform(0.0, 0.9) * whole)
            return False
        except subprocess.TimeoutExpired:
            self.kill_one(child)
            self.n_kills += 1
            self.by_kind[kind] = self.by_kind.get(kind, 0) + 1
            return True

    def compare(self, expected, folder, what):
        n = n_differing(expected, content(folder))
        if n:
            print(f"{what}: {n} bytes differ")
        self.n_differing += n
        shutil.rmtree(folder)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--program", default="target/release/medcoss")
    arguments.add_argument("--kills", type=int, default=1000, help="number of kills")
    arguments.add_argument("--ranks", type=int, default=1, choices=[1, 2, 4], help="largest number of ranks of a job")
    arguments.add_argument("--seed", type=int, default=0, help="seed of the moments")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return kills(Killer(str(Path(given.program).resolve()), Path(folder), given.seed, given.ranks), given.kills)


def kills(killer, n_wanted):
    folder = killer.folder
    for modality, n in [("xray", "16"), ("text", "40"), ("pathology", "12")]:
        killer.run(["synth", "--modality", modality, "--samples", n, "--out", modality])
    (folder / "run.toml").write_text(CONFIG.replace("ACCUMULATION", "4" if killer.most_ranks > 1 else "1"))
    (folder / "small.toml").write_text(TASKS)

    add = ["stage", "add", "RUN", "--modality", "xray", "--data", "xray", "--set", "options.size=32", "--quiet"]
    evaluate = ["eval", "RUN", "small.toml", "--quiet"]
    compare = ["compare", "run.toml", "--tasks", "small.toml", "--strategies", "medcoss,sequential", "--out", "RUN", "--quiet"]

    def of(command, name):
        return [name if part == "RUN" else part for part in command]

    # Two undisturbed runs: the second shows that no byte differs without a kill.
    whole, expected = {}, {}
    for name in ["whole", "again"]:
        whole["pretrain"] = killer.run(["pretrain", "run.toml", "--out", name, "--quiet"])
        expected["pretrain"] = content(folder / name)
        shutil.copytree(folder / name, folder / f"{name}-added")
        shutil.copytree(folder / name, folder / f"{name}-evaluated")
        whole["stage add"] = killer.run(of(add, f"{name}-added"))
        whole["eval"] = killer.run(of(evaluate, f"{name}-evaluated"))
        whole["compare"] = killer.run(of(compare, f"{name}-compared"))
        found = {"stage add": f"{name}-added", "eval": f"{name}-evaluated", "compare": f"{name}-compared"}
        for kind, below in found.items():
            now = content(folder / below)
            killer.n_differing += n_differing(expected.get(kind, now), now)
            expected[kind] = now
    print("undisturbed: " + ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in whole.items()))
    if killer.n_failed or killer.n_differing:
        return 1

    began, at = time.monotonic(), 0
    while killer.n_kills < n_wanted:
        kinds = ["pretrain", "stage add", "pretrain", "eval", "pretrain", "compare"]
        kind = kinds[at % (2 if killer.most_ranks > 1 else 6)]
        name = f"killed-{at}"
        at += 1
        run = folder / name
        if kind in ("stage add", "eval"):
            shutil.copytree(folder / "whole", run)

        def command():
            if kind == "compare":
                return of(compare, name)
            if kind == "eval":
                return of(evaluate, name)
            if kind == "stage add":
                begun = 'modality = "xray"' in (run / "run.toml").read_text().split("pathology")[-1]
                return ["resume", name, "--quiet"] if begun else of(add, name)
            begun = (run / "run.toml").exists()
            return ["resume", name, "--quiet"] if begun else ["pretrain", "run.toml", "--out", name, "--quiet"]

        for _ in range(4):
            if not killer.kill(command(), whole[kind], kind):
                break
        killer.run(command())
        killer.compare(expected[kind], run, f"{kind} {name}")
        if at % 20 == 0:
            rate = killer.n_kills / (time.monotonic() - began)
            left = (n_wanted - killer.n_kills) / max(rate, 1e-9)
            print(f"{killer.n_kills} of {n_wanted} kills, {left / 60:.0f} min left", flush=True)
    by_kind = ", ".join(f"{kind} {n}" for kind, n in sorted(killer.by_kind.items()))
    print(f"{killer.n_kills} kills ({by_kind}): {killer.n_differing} bytes differ, {killer.n_failed} commands failed")
    if killer.most_ranks > 1:
        print(f"a job ended at most {killer.longest_end:.1f} s after one of its ranks")
    return 1 if killer.n_differing or killer.n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
