"""The training step of `medcoss bench step` in PyTorch: masked modelling with a model of the same sizes, AdamW.

    pip install torch
    python tests/compare/step.py --preset vit-base --batch 8 --threads 2
    python tests/compare/step.py --preset vit-base --batch 256 --device cuda --precision bfloat16 --compile
    python tests/compare/step.py --preset vit-base --batch 64 --tokens 112 --vocabulary 28996

Prints an object with `median_seconds` and `peak_rss_bytes`.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

# Width, layers and heads of the encoder, then of the decoder.
PRESETS = {
    "vit-base": (768, 12, 12, 512, 8, 16),
    "vit-small": (384, 12, 6, 256, 4, 8),
    "vit-tiny": (192, 12, 3, 128, 4, 4),
    "demo": (96, 4, 3, 64, 2, 4),
}
N_WARM_UP = 3


class Block(nn.Module):
    """Transformer block with pre-norm, and with LayerScale if `scale` is given."""

    def __init__(self, width, heads, scale):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        scales = [nn.Parameter(torch.full((width,), scale)) for _ in range(2)] if scale else []
        self.scales = nn.ParameterList(scales)

    def forward(self, x):
        n, length, width = x.shape
        qkv = self.qkv(self.norms[0](x)).reshape(n, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(n, length, width)
        x = x + self.scaled(self.projection(attended), 0)
        return x + self.scaled(self.mlp(self.norms[1](x)), 1)

    def scaled(self, branch, at):
        return branch * self.scales[at] if len(self.scales) else branch


class MaskedAutoencoder(nn.Module):
    def __init__(self, preset, layers, n_tokens, d_token):
        super().__init__()
        width, usual, heads, decoder_width, decoder_layers, decoder_heads = PRESETS[preset]
        self.embed = nn.Linear(d_token, width)
        self.positions = nn.Parameter(0.02 * torch.randn(n_tokens, width))
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.norm = nn.LayerNorm(width)
        self.encoder = nn.Sequential(*[Block(width, heads, 1e-6) for _ in range(layers or usual)])
        self.to_decoder = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, decoder_width))
        self.decoder_positions = nn.Parameter(torch.zeros(1, 1 + n_tokens, decoder_width))
        self.decoder = nn.Sequential(*[Block(decoder_width, decoder_heads, None) for _ in range(decoder_layers)])
        self.decoder_norm = nn.LayerNorm(decoder_width)
        self.head = nn.Linear(decoder_width, d_token)

    def forward(self, visible, visible_at, restore, masked_at, targets):
        x = self.embed(visible) + self.positions[visible_at]
        x = torch.cat([self.class_token.expand(len(x), -1, -1), self.norm(x)], 1)
        x = self.to_decoder(self.encoder(x))
        n_masked = masked_at.shape[1]
        tokens = torch.cat([x[:, 1:], self.mask_token.expand(len(x), n_masked, -1)], 1)
        tokens = torch.gather(tokens, 1, restore[..., None].expand(-1, -1, tokens.shape[2]))
        x = self.decoder_norm(self.decoder(torch.cat([x[:, :1], tokens], 1) + self.decoder_positions))
        masked = torch.gather(x[:, 1:], 1, masked_at[..., None].expand(-1, -1, x.shape[2]))
        return F.mse_loss(self.head(masked), targets)


class MaskedLanguageModel(nn.Module):
    def __init__(self, preset, layers, n_tokens, vocabulary):
        super().__init__()
        width, usual, heads, *_ = PRESETS[preset]
        self.embed = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(0.02 * torch.randn(n_tokens, width))
        self.norm = nn.LayerNorm(width)
        self.encoder = nn.Sequential(*[Block(width, heads, 1e-6) for _ in range(layers or usual)])
        self.transform, self.head_norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.vocabulary = nn.Linear(width, vocabulary)

    def forward(self, ids, target_at, targets):
        x = self.encoder(self.norm(self.embed(ids) + self.positions)).flatten(0, 1)[target_at]
        return F.cross_entropy(self.vocabulary(self.head_norm(F.gelu(self.transform(x)))), targets)


def patches(given):
    """A masked autoencoder and its batch."""
    n, n_tokens = given.batch, given.tokens
    n_masked = round(n_tokens * given.mask_ratio)
    order = torch.stack([torch.randperm(n_tokens) for _ in range(n)])
    visible_at, masked_at = order[:, n_masked:], order[:, :n_masked]
    restore = torch.argsort(torch.cat([visible_at, masked_at], 1), 1)
    visible = torch.randn(n, n_tokens - n_masked, given.token_values)
    targets = torch.randn(n, n_masked, given.token_values)
    model = MaskedAutoencoder(given.preset, given.layers, n_tokens, given.token_values)
    return model, [visible, visible_at, restore, masked_at, targets]


def text(given):
    """A masked language model and its batch: a target every seven tokens."""
    ids = torch.randint(given.vocabulary, (given.batch, given.tokens))
    target_at = torch.arange(0, given.batch * given.tokens, 7)
    model = MaskedLanguageModel(given.preset, given.layers, given.tokens, given.vocabulary)
    return model, [ids, target_at, torch.randint(given.vocabulary, target_at.shape)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--preset", choices=PRESETS, default="vit-tiny")
    arguments.add_argument("--batch", type=int, default=8)
    arguments.add_argument("--tokens", type=int, default=196)
    arguments.add_argument("--token-values", type=int, default=768)
    arguments.add_argument("--mask-ratio", type=float, default=0.75)
    arguments.add_argument("--layers", type=int)
    arguments.add_argument("--steps", type=int, default=7)
    arguments.add_argument("--threads", type=int)
    arguments.add_argument("--vocabulary", type=int, help="text with ids below this number, instead of patches")
    arguments.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    arguments.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="bfloat16 by autocast")
    arguments.add_argument("--tf32", action="store_true", help="products of float32 with 10 bits of mantissa on a GPU")
    arguments.add_argument("--compile", action="store_true", help="torch.compile")
    given = arguments.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high" if given.tf32 else "highest")
    model, batch = text(given) if given.vocabulary else patches(given)
    model.to(given.device)
    decayed = [value for value in model.parameters() if value.ndim > 1]
    others = [value for value in model.parameters() if value.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    is_cpu = given.device == "cpu"
    optimiser = torch.optim.AdamW(groups, lr=1e-5, betas=(0.9, 0.95), fused=not is_cpu)
    learned = torch.compile(model) if given.compile else model
    # As in `medcoss bench step`: the batch is uploaded in every step, and the host waits for a GPU after 16 steps.
    together = 1 if is_cpu else 16
    if not is_cpu:
        batch = [tensor.pin_memory() for tensor in batch]
    seconds = []
    for _ in range(N_WARM_UP + -(-given.steps // together)):
        began = time.perf_counter()
        for _ in range(together):
            optimiser.zero_grad(set_to_none=True)
            here = [tensor.to(given.device, non_blocking=True) for tensor in batch]
            with torch.autocast(given.device.split(":")[0], torch.bfloat16, enabled=given.precision == "bfloat16"):
                loss = learned(*here)
            loss.backward()
            optimiser.step()
        loss.item()
        if not is_cpu:
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - began) / together)
    print(json.dumps({
        "median_seconds": statistics.median(seconds[N_WARM_UP:]),
        "samples_per_second": given.batch / statistics.median(seconds[N_WARM_UP:]),
        "peak_rss_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "peak_device_bytes": None if is_cpu else torch.cuda.max_memory_allocated(),
        "n_parameters": sum(value.numel() for value in model.parameters()),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "loss": loss.item(),
    }))


if __name__ == "__main__":
    main()
