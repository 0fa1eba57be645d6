"""What it costs to load samples of a class in Python: through the bridge of medcoss, and through PyTorch's DataLoader.

    cargo build --release -p medcoss-python-bridge --lib --example fill_batches
    python tests/compare/python_loader.py --fill-batches target/release/examples/fill_batches
    python tests/compare/python_loader.py --medcoss target/release/medcoss      # `bench load`, with the host's checks

The class is the one in `python_images`, the same on both sides: a crop of 224x224x3 as 196 tokens of 768 float32 and a mask, 602,308 bytes.
With `is_cheap` the class does next to nothing, so that transport remains. Three ways: `alone`, the class in one process without transport;
`dataloader`, PyTorch's DataLoader with its workers, shared memory and default collation into a batch; `bridge`, medcoss with as many threads,
hence workers, which writes into the host's batch. Each way runs with few and with many batches; what the many take longer, divided by their
samples, is a sample's wall time and CPU time of all processes, without starting. The ways take turns, `--rounds` times; medians are printed as
JSON, in microseconds. The cost of transport is the CPU time beyond `alone`; it is to be trusted more than wall time on a machine with other work.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "python_images"), str(HERE / "../../sdk/python/author")]

from python_images import PythonImages

FEW = 8


class TorchView:
    """The open dataset as a map-style dataset of PyTorch, each access with a seed of its own."""

    def __init__(self, dataset, n):
        self.dataset, self.n = dataset, n

    def __len__(self):
        return self.n

    def __getitem__(self, at):
        return self.dataset.sample(at % len(self.dataset), True, at)


def load(way, base, options, workers, batch, n_batches):
    """Loads batches in this process, which was started for it."""
    dataset = PythonImages.opened(base, ["."], options)
    if way == "alone":
        for seed in range(n_batches * batch):
            dataset.sample(seed % len(dataset), True, seed)
        return
    import torch.utils.data

    torch.set_num_threads(1)
    view = TorchView(dataset, n_batches * batch)
    for _ in torch.utils.data.DataLoader(view, batch_size=batch, num_workers=workers):
        pass


def command(asked, way, base, options, n_batches, library):
    options_json = json.dumps(options)
    if way != "bridge":
        return [sys.executable, __file__, "--way", way, base, options_json, asked.workers, asked.batch, n_batches]
    if asked.fill_batches:
        return [asked.fill_batches, HERE / "python_images", base, options_json, asked.workers, asked.batch, n_batches]
    # Three iterations warm up, five are measured.
    bench = [asked.medcoss, "bench", "load", "--modality", "python_images", "--data", base, "--samples", asked.batch * n_batches // 8, "--batch",
             asked.batch, "--threads", asked.workers, "--iterations", 5, "--plugin-dir", library.parent, "--quiet", "--json"]
    return bench + [part for name, value in options.items() for part in ("--set", f"{name}={json.dumps(value)}")]


def times(command):
    """Wall time and CPU time of a command and all processes that it starts."""
    environment = {**os.environ, "MEDCOSS_PYTHON": sys.executable}
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    begin, before = time.perf_counter(), used()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begin, used() - before


def main():
    if sys.argv[1:2] == ["--way"]:
        way, base, options, *numbers = sys.argv[2:]
        return load(way, base, json.loads(options), *map(int, numbers))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fill-batches", help="the example of medcoss-python-bridge")
    parser.add_argument("--medcoss", help="the program")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=72, help="the many; the few are 8")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if not asked.fill_batches and not asked.medcoss:
        parser.error("--fill-batches or --medcoss is needed")
    found = {"workers": asked.workers, "batch": asked.batch, "rounds": asked.rounds}
    with tempfile.TemporaryDirectory() as base, tempfile.TemporaryDirectory() as folder:
        PythonImages.synthesise(base, 64, 7)
        library = Path(folder) / "libmedcoss_python_images.so"
        if asked.medcoss:
            times([asked.medcoss, "plugin", "pack", HERE / "python_images", "--out", library])
        for is_cheap in (True, False):
            options, ways = {"is_cheap": is_cheap}, ("alone", "dataloader", "bridge")
            measured = {way: [] for way in ways}
            for _ in range(asked.rounds):
                for way in ways:
                    few, many = (times(command(asked, way, base, options, n, library)) for n in (FEW, asked.batches))
                    n_samples = (asked.batches - FEW) * asked.batch
                    measured[way].append([1e6 * (after - before) / n_samples for before, after in zip(few, many)])
            middle = lambda way, at: round(statistics.median(pair[at] for pair in measured[way]), 1)
            found["cheap" if is_cheap else "crop"] = {
                way: {"wall_us": middle(way, 0), "cpu_us": middle(way, 1), "transport_cpu_us": round(middle(way, 1) - middle("alone", 1), 1)}
                for way in ways
            }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
