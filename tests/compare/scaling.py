"""The paper's recipe on one to 64 GPUs, on paper: the time of an update, its traffic, and what binds.

    python3 tests/compare/scaling.py
    python3 tests/compare/scaling.py --tflops 120 --link 3 --overlap

An update has 512 samples in all (four batches of 128 in the paper; `gradient_accumulation` times `batch_size` here), however many ranks share them.
A rank computes its batches, then gradients are exchanged as `core/src/ranks/gradient_sum.rs` does it: bucket by bucket, each rank sends the others
their part of its sums, adds what it receives, and sends its sum to all. That is simulated bucket by bucket with three resources that each serve one
bucket at a time: the copy engine of the device, the processor that adds, and the network. Without --overlap the exchange begins when the last batch
is learned, as it does today; with it a bucket begins when the backward pass of the last batch has reached its parameters.

Assumptions, each an option: what a GPU reaches of its peak, the links, the processor. Loading of samples, checkpoints and the selection of the
buffer are left out: the first runs beside the device, the others take minutes a stage (`medcoss plan` measures them).
"""

import argparse

WIDTH, LAYERS, DECODER_WIDTH, DECODER_LAYERS = 768, 12, 512, 8
SAMPLES = 512
BUCKET = 4 << 20
#: Stages: tokens of a sample, visible tokens in the encoder, tokens in the decoder, values of a token.
STAGES = {
    "reports": (512, 512, 0, 0),
    "X-rays (224 x 224)": (196, 49, 196, 768),
    "CT (16 x 192 x 192)": (144, 36, 144, 4096),
}


def block_flops(tokens, width):
    """Forward pass of a Transformer block for one sample: products with the four weights, then scores and values of attention."""
    return 2 * tokens * 12 * width**2 + 4 * tokens**2 * width


def sample_flops(stage, rehearsed):
    """Training on one sample: backward costs twice the forward pass. In later stages the student learns a rehearsal batch of equal size, and the
    teacher encodes it."""
    tokens, visible, decoded, d_token = STAGES[stage]
    encoder = LAYERS * block_flops(visible + 1, WIDTH)
    decoder = DECODER_LAYERS * block_flops(decoded + 1, DECODER_WIDTH) if decoded else 2 * 0.15 * tokens * WIDTH * 49_411
    patches = 2 * (visible + decoded) * d_token * WIDTH
    rehearsal = LAYERS * block_flops(tokens + 1, WIDTH)
    return 3 * (encoder + decoder + patches) + (4 * rehearsal if rehearsed else 0)


def n_parameters():
    encoder, decoder = (12 * layers * width**2 for layers, width in ((LAYERS, WIDTH), (DECODER_LAYERS, DECODER_WIDTH)))
    embedders_and_heads = 2 * (768 + 4096) * WIDTH + 49_411 * WIDTH
    return encoder + decoder + embedders_and_heads


def update_seconds(stage, n_ranks, given):
    """Seconds of computing, of the whole update, bytes that a rank sends, and seconds that each resource works."""
    compute = SAMPLES / n_ranks * sample_flops(stage, True) / (given.tflops * 1e12)
    if n_ranks == 1:
        return compute, compute, 0, {}
    width = 2 if given.bfloat16 else 4
    # Of the last batch: the backward pass is two thirds of it, and gives the gradients from the last layer to the first.
    last_batch = compute / max(1, given.accumulation // n_ranks)
    n_values = n_parameters()
    n_buckets = -(-n_values // BUCKET)
    others = (n_ranks - 1) / n_ranks
    # Ranks of a node share its network card.
    sharing = min(n_ranks, given.gpus_per_node)
    network = (given.link if n_ranks > given.gpus_per_node else given.shared_memory) * 1e9 / sharing
    free = {"copy": 0.0, "processor": 0.0, "network": 0.0}
    busy = dict.fromkeys(free, 0.0)

    def use(resource, ready, seconds):
        begin = max(ready, free[resource])
        free[resource] = begin + seconds
        busy[resource] += seconds
        return free[resource]

    end = 0.0
    for bucket in range(n_buckets):
        n = min(BUCKET, n_values - bucket * BUCKET)
        reached = (bucket + 1) / n_buckets * 2 / 3 * last_batch
        ready = compute - last_batch + last_batch / 3 + reached if given.overlap else compute
        exchanged = n * width * others
        ready = use("copy", ready, n * 4 / (given.pcie * 1e9))
        ready = use("network", ready, exchanged / network + given.latency * 1e-6 * n_ranks)
        ready = use("processor", ready, n * 4 / (given.memory * 1e9) * 3)
        ready = use("network", ready, exchanged / network + given.latency * 1e-6 * n_ranks)
        end = use("copy", ready, n * 4 / (given.pcie * 1e9))
    return compute, max(end, compute), 2 * n_values * width * others, busy


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tflops", type=float, default=150.0, help="what a GPU reaches in training, in TFLOP/s (an H100: 150 of 990 in bfloat16)")
    arguments.add_argument("--pcie", type=float, default=20.0, help="GB/s between a GPU and its host")
    arguments.add_argument("--link", type=float, default=25.0, help="GB/s of a node's network card (200 Gbit/s)")
    arguments.add_argument("--shared-memory", type=float, default=20.0, help="GB/s between the ranks of a node, together")
    arguments.add_argument("--memory", type=float, default=100.0, help="GB/s at which a rank's processor adds")
    arguments.add_argument("--latency", type=float, default=5.0, help="microseconds of a message")
    arguments.add_argument("--gpus-per-node", type=int, default=8)
    arguments.add_argument("--accumulation", type=int, default=64, help="batches of an update")
    arguments.add_argument("--bfloat16", action="store_true", help="gradients in 16 bits on the network")
    arguments.add_argument("--overlap", action="store_true", help="the exchange runs beside the backward pass")
    given = arguments.parse_args()
    print(f"{n_parameters() / 1e6:.0f} million parameters; an update of {SAMPLES} samples in a stage that rehearses\n")
    print(f"{'stage':20} {'GPUs':>4} {'compute':>9} {'update':>9} {'efficiency':>10} {'sent':>8}  longest part")
    for stage in STAGES:
        alone = update_seconds(stage, 1, given)[1]
        for n_ranks in (1, 2, 4, 8, 16, 32, 64):
            compute, update, sent, busy = update_seconds(stage, n_ranks, given)
            longest = max([("computing", compute), *busy.items()], key=lambda part: part[1])[0]
            row = f"{stage:20} {n_ranks:4} {1e3 * compute:6.0f} ms {1e3 * update:6.0f} ms {alone / (n_ranks * update):10.2f}"
            print(f"{row} {sent / 1e6:5.0f} MB  {longest}")


if __name__ == "__main__":
    main()
