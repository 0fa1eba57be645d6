"""What it costs to load samples of a class in Python: through the bridge of medcoss, and through PyTorch's DataLoader.

    cargo build --release -p medcoss-python-bridge --lib --example fill_rate
    python tests/compare/python_loader.py --fill-rate target/release/examples/fill_rate
    python tests/compare/python_loader.py --medcoss target/release/medcoss    # `bench load`, with the host's checks

The class is the one in `python_images`, the same on both sides: a crop of 224x224x3 as 196 tokens of 768 float32 and a mask, 602,308 bytes.
With `is_cheap` the class does next to nothing, so that transport remains. Three rates in samples a second: `alone`, the class in one process
without transport; `dataloader`, PyTorch's DataLoader with its workers, shared memory and default collation into a batch; `bridge`, medcoss
with as many threads, hence workers, which writes into the host's batch. They take turns, `--rounds` times; medians are printed as JSON. The
cost of a sample is the time that a worker spends on it beyond the class's own work, `workers / rate - 1 / alone`.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "python_images"), str(HERE / "../../sdk/python/author")]

from python_images import PythonImages

WARM_UP_S = 2.0


class TorchView:
    """The open dataset as a map-style dataset of PyTorch, each access with a seed of its own."""

    def __init__(self, dataset, n):
        self.dataset, self.n = dataset, n

    def __len__(self):
        return self.n

    def __getitem__(self, at):
        return self.dataset.sample(at % len(self.dataset), True, at)


def rate_alone(dataset, seconds):
    begin, n = time.perf_counter(), 0
    while time.perf_counter() < begin + seconds:
        dataset.sample(n % len(dataset), True, n)
        n += 1
    return n / (time.perf_counter() - begin)


def rate_of_dataloader(dataset, workers, batch, seconds):
    import torch.utils.data

    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(TorchView(dataset, 1 << 30), batch_size=batch, num_workers=workers)
    batches = iter(loader)
    begin, n, start = time.perf_counter(), 0, None
    while True:
        next(batches)
        now = time.perf_counter()
        if start is None and now > begin + WARM_UP_S:
            start = now
        elif start is not None:
            n += batch
            if now > start + seconds:
                return n / (now - start)


def rate_of_bridge(asked, base, options, seconds):
    environment = {**os.environ, "MEDCOSS_PYTHON": sys.executable}
    if asked.fill_rate:
        command = [asked.fill_rate, HERE / "python_images", base, json.dumps(options), asked.workers, asked.batch, int(seconds)]
        answer = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True, env=environment)
        return float(answer.stdout)
    n_samples = 64 * asked.batch
    with tempfile.TemporaryDirectory() as folder:
        return rate_of_program(asked, base, options, n_samples, folder, environment)


def rate_of_program(asked, base, options, n_samples, folder, environment):
    library = Path(folder) / "libmedcoss_python_images.so"
    pack = [asked.medcoss, "plugin", "pack", str(HERE / "python_images"), "--out", str(library)]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL, env=environment)
    command = [asked.medcoss, "bench", "load", "--modality", "python_images", "--data", base, "--samples", n_samples, "--batch", asked.batch,
               "--threads", asked.workers, "--iterations", 5, "--plugin-dir", folder, "--json"]
    command += [part for name, value in options.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    answer = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return n_samples / json.loads(answer.stdout)["by_threads"][-1]["median_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fill-rate", help="the example of medcoss-python-bridge")
    parser.add_argument("--medcoss", help="the program")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if not asked.fill_rate and not asked.medcoss:
        parser.error("--fill-rate or --medcoss is needed")
    found = {"workers": asked.workers, "batch": asked.batch}
    with tempfile.TemporaryDirectory() as base:
        data, _ = PythonImages.synthesise(base, 64, 7)
        for is_cheap in (True, False):
            options = {"is_cheap": is_cheap}
            dataset = PythonImages.opened(base, data, options)
            rates = {"alone": [], "dataloader": [], "bridge": []}
            for _ in range(asked.rounds):
                rates["alone"].append(rate_alone(dataset, asked.seconds))
                rates["dataloader"].append(rate_of_dataloader(dataset, asked.workers, asked.batch, asked.seconds))
                rates["bridge"].append(rate_of_bridge(asked, base, options, asked.seconds))
            middle = {name: statistics.median(of) for name, of in rates.items()}
            cost = {name: 1e6 * (asked.workers / middle[name] - 1 / middle["alone"]) for name in ("dataloader", "bridge")}
            found["cheap" if is_cheap else "crop"] = {"samples_per_second": middle, "cost_of_a_sample_us": cost}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
