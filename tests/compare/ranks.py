"""Two ranks against one, each with one thread: `medcoss pretrain --ranks mpi`, and PyTorch's DistributedDataParallel over gloo.

    pip install torch
    python tests/compare/ranks.py --medcoss target/release/medcoss        # built with the feature mpi

Both train masked autoencoders of one preset; an update has two batches, which one process learns one after another and two share. The runs
take turns. Prints the median time of an update for each, and the efficiency at two: the time of one over twice the time of two.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parent))
from step import PRESETS, MaskedAutoencoder  # noqa: E402

SIDE, PATCH, MASK_RATIO, UPDATES, WARM_UP = 224, 16, 0.75, 6, 2


def by_torch(rank, n_ranks, preset, batch, file):
    """Trains UPDATES updates of two batches as one of `n_ranks` processes; rank 0 prints the median time of an update."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=n_ranks)
    n_tokens, d_token = (SIDE // PATCH) ** 2, 3 * PATCH**2
    model = DistributedDataParallel(MaskedAutoencoder(preset, None, n_tokens, d_token))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.05)
    n_masked = int(n_tokens * MASK_RATIO)
    order = torch.stack([torch.randperm(n_tokens) for _ in range(batch)])
    visible_at, masked_at = order[:, n_masked:], order[:, :n_masked]
    restore = torch.argsort(torch.cat([visible_at, masked_at], 1), 1)
    visible, targets = torch.randn(batch, n_tokens - n_masked, d_token), torch.randn(batch, n_masked, d_token)
    seconds = []
    for _ in range(WARM_UP + UPDATES):
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        for _ in range(2 // n_ranks):
            (model(visible, visible_at, restore, masked_at, targets) / 2).backward()
        optimiser.step()
        seconds.append(time.perf_counter() - began)
    if rank == 0:
        print(statistics.median(seconds[WARM_UP:]))
    torch.distributed.destroy_process_group()


def torch_seconds(n_ranks, preset, batch):
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--preset", preset, "--batch", str(batch), "--file", f"{folder}/meeting"]
        ranks = [subprocess.Popen([*command, "--rank", f"{rank}/{n_ranks}"], stdout=subprocess.PIPE) for rank in range(n_ranks)]
        outputs = [rank.communicate()[0] for rank in ranks]
        assert all(rank.returncode == 0 for rank in ranks)
        return float(outputs[0])


def medcoss_seconds(program, n_ranks, preset, batch, folder):
    """Median time of an update: an epoch has UPDATES of them."""
    out = folder / f"run-{time.monotonic_ns()}"
    command = [program, "pretrain", folder / "run.toml", "--out", out, "--quiet", "--set", f"model.preset={preset}"]
    command += ["--set", f"training.batch_size={batch}"]
    if n_ranks > 1:
        mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(n_ranks)]
        command = [*mpirun, *command, "--ranks", "mpi"]
    environment = os.environ | {"RAYON_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    epochs = [json.loads(line) for line in (out / "stages/01-xray/timing.jsonl").read_text().splitlines()]
    return statistics.median(epoch["seconds"] for epoch in epochs[1:]) / UPDATES


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--medcoss", type=Path, help="the program")
    arguments.add_argument("--preset", choices=PRESETS, default="vit-tiny")
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--rank", help=argparse.SUPPRESS)
    arguments.add_argument("--file", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.rank:
        rank, n_ranks = map(int, given.rank.split("/"))
        return by_torch(rank, n_ranks, given.preset, given.batch, given.file)
    program = given.medcoss.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        samples = 2 * given.batch * UPDATES
        subprocess.run([program, "synth", "--modality", "xray", "--samples", str(samples), "--out", folder / "xray"], check=True)
        (folder / "run.toml").write_text(
            "[training]\nepochs = 3\nbatch_size = 1\ngradient_accumulation = 2\n[data]\nnum_workers = 1\n"
            f"[[stage]]\nmodality = \"xray\"\ndata = \"xray\"\noptions = {{ size = {SIDE}, mask_ratio = {MASK_RATIO} }}\n[model]\n"
        )
        seconds = {}
        for _ in range(given.rounds):
            for n_ranks in (1, 2):
                for who, run in (("medcoss", lambda n: medcoss_seconds(program, n, given.preset, given.batch, folder)),
                                 ("PyTorch", lambda n: torch_seconds(n, given.preset, given.batch))):
                    seconds.setdefault((who, n_ranks), []).append(run(n_ranks))
    for who in ("medcoss", "PyTorch"):
        one, two = (statistics.median(seconds[who, n]) for n in (1, 2))
        print(f"{who:8} {one:.3f} s an update on one rank, {two:.3f} s on two, efficiency {one / (2 * two):.2f}")


if __name__ == "__main__":
    main()
