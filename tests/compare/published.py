"""Published weights at full size: a checkpoint in the published layout with random values, encoded here in PyTorch and by `medcoss embed`.

    pip install torch numpy safetensors nibabel Pillow==10.4.0   (later ones resize in another order)
    python tests/compare/published.py --medcoss target/release/medcoss

First the model of this file is held to the features that the reference implementation computed with the small checkpoint of the tests. Then
a checkpoint of the published size (12 layers, width 768, 49,411 rows of tokens; 0.9 GB) is made, imported, and fed a prepared scan of CT and of
MRI, a colour tile, an X-ray and reports under `recipe = "reference"`. Prints the largest difference over the largest magnitude for each, and
fails above 1e-5.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "core/tests/golden"
FORMATS = ROOT / "sdk/formats/tests/golden"
REPORTS = ROOT / "plugins/text/tests/golden"
LIMIT = 1e-5
PATCH, FRAMES = 16, 8
FULL = {"width": 768, "ffn": 3072, "layers": 12, "heads": 12, "vocab": 49411, "max_2d": 512, "max_3d": 256,
        "decoder_width": 512, "decoder_layers": 8, "image_2d": 224, "image_3d": [16, 192, 192]}


class Layer(nn.Module):
    """Pre-norm encoder layer with LayerScale, under the published names."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.gamma_1, self.gamma_2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))

    def forward(self, x, mask):
        normed = self.norm1(x)
        x = x + self.gamma_1 * self.self_attn(normed, normed, normed, attn_mask=mask, need_weights=False)[0]
        return x + self.gamma_2 * self.linear2(F.gelu(self.linear1(self.norm2(x))))


def positions(rows, width):
    return nn.ModuleDict({"spatial_pos_embed": nn.Embedding(rows, width), "temporal_pos_embed": nn.Embedding(FRAMES, width)})


class Encoder(nn.Module):
    """The three embedders and the encoder of the published layout, in evaluation mode: temporal position 0."""

    def __init__(self, c):
        super().__init__()
        width = c["width"]
        self.heads = c["heads"]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.fused_encoder = nn.ModuleDict(
            {"layers": nn.ModuleList([Layer(width, c["heads"], c["ffn"]) for _ in range(c["layers"])])}
        )
        self.token_embed = nn.ModuleDict({
            "embeddings": nn.Embedding(c["vocab"], width),
            "embeddings_pos": nn.ModuleDict({"position_embeddings": nn.Embedding(512, width)}),
            "embeddings_token_type": nn.Embedding(2, width),
            "embeddings_norm": nn.LayerNorm(width),
        })
        self.video_embed = nn.ModuleDict({
            "embeddings": nn.Conv2d(3, width, PATCH, PATCH),
            "embeddings_3D": nn.Conv3d(1, width, PATCH, PATCH),
            "embeddings_st_pos_2D": positions((c["max_2d"] // PATCH) ** 2, width),
            "embeddings_st_pos_3D": positions((c["max_3d"] // PATCH) ** 3, width),
            "embeddings_norm": nn.LayerNorm(width),
        })

    def encode(self, x, mask=None):
        for layer in self.fused_encoder["layers"]:
            x = layer(x, mask)
        return x

    def images(self, x):
        """`x` [B, 3, H, W] or [B, 1, D, H, W]; features [B, 1 + tokens, width], class token first."""
        dims = "2D" if x.dim() == 4 else "3D"
        embed = self.video_embed["embeddings" if dims == "2D" else "embeddings_3D"]
        table = self.video_embed["embeddings_st_pos_" + dims]
        x = embed(x).flatten(2).transpose(1, 2)
        x = x + table["temporal_pos_embed"].weight[0] + table["spatial_pos_embed"].weight[: x.shape[1]]
        x = self.video_embed["embeddings_norm"](x)
        return self.encode(torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1))

    def text(self, ids, mask):
        """`ids`, `mask` [L] of one report (1 = token); features [1, L, width] under a causal mask."""
        embed, length = self.token_embed, len(ids)
        x = embed["embeddings"](ids) + embed["embeddings_pos"]["position_embeddings"].weight[:length]
        x = embed["embeddings_norm"](x + embed["embeddings_token_type"].weight[0])
        allowed = torch.tril(torch.ones(length, length)) * mask
        return self.encode(x[None], (1.0 - allowed) * -10000.0)


def published_names(c):
    """Names and shapes of the published layout that this file's model does not use."""
    w, d, image = c["width"], c["decoder_width"], (c["image_2d"] // PATCH) ** 2
    volume = numpy.prod([side // PATCH for side in c["image_3d"]])
    names = {
        "mask_token": [1, 1, d], "decoder_pos_embed_2D": [1, image + 1, d], "decoder_pos_embed_3D": [1, int(volume) + 1, d],
        "video_embed.embeddings_pos.position_embeddings.weight": [1600, w], "video_embed.embeddings_type.weight": [1, w],
        "decoder_embed.weight": [d, w], "decoder_embed.bias": [d], "decoder_pos_embed_1D.weight": [2, w],
        "decoder_norm.weight": [d], "decoder_norm.bias": [d], "decoder_pred_2D.weight": [3 * PATCH**2, d],
        "decoder_pred_2D.bias": [3 * PATCH**2], "decoder_pred_3D.weight": [PATCH**3, d], "decoder_pred_3D.bias": [PATCH**3],
        "mlm_head.bias": [c["vocab"]], "mlm_head.decoder.weight": [c["vocab"], w], "mlm_head.transform.dense.weight": [w, w],
        "mlm_head.transform.dense.bias": [w], "mlm_head.transform.LayerNorm.weight": [w], "mlm_head.transform.LayerNorm.bias": [w],
    }
    for layer in range(c["decoder_layers"]):
        block = f"decoder_blocks.{layer}."
        for name, shape in {"norm1": [d], "norm2": [d], "attn.qkv": [3 * d, d], "attn.proj": [d, d], "mlp.fc1": [4 * d, d],
                            "mlp.fc2": [d, 4 * d]}.items():
            names |= {f"{block}{name}.weight": shape, f"{block}{name}.bias": shape[:1]}
    return names


def random_checkpoint(c, path):
    """Every parameter random, so that nothing is hidden by a zero; matrices keep the scale of what they multiply."""
    model, generator = Encoder(c), torch.Generator().manual_seed(20)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()} | published_names(c)
    state = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        is_scale = "norm" in name.lower() and name.endswith("weight") or "gamma" in name
        is_matrix = len(shape) > 1 and "pos" not in name and "embeddings.weight" != name[-17:]
        if is_scale:
            values = 1.0 + 0.2 * values
        elif is_matrix:
            values = values / numpy.sqrt(numpy.prod(shape[1:]))
        elif len(shape) == 1:
            values = 0.1 * values
        state[name] = values
    torch.save({"model": state}, path)
    return len(state)


def load(c, state):
    model = Encoder(c)
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    return model.eval()


def squeezed(path, side, mode):
    return numpy.asarray(Image.open(path).convert(mode).resize((side, side), Image.Resampling.BICUBIC), numpy.float32) / 255.0


def scan(name):
    """[1, k, i, j] of a file's array (i, j, k)."""
    return nibabel.load(FORMATS / f"{name}.nii.gz").get_fdata(dtype=numpy.float32).transpose(2, 0, 1)[None]


def inputs(side):
    """What the reference feeds its model for each file."""
    colour = squeezed(FORMATS / "pathology.png", side, "RGB")[..., ::-1]
    grey = squeezed(FORMATS / "xray.png", side, "L")
    return {
        "ct": scan("prepared_ct") / 1024.0,
        "mri": scan("prepared_mri"),
        "pathology": colour.transpose(2, 0, 1).copy(),
        "xray": numpy.stack([grey] * 3),
    }


def features(model, side):
    with torch.no_grad():
        found = {name: model.images(torch.from_numpy(array)[None]) for name, array in inputs(side).items()}
        reports = load_file(REPORTS / "reports.safetensors")
        ids, masks = reports["ids"], reports["attention_mask"]
        found["text"] = torch.cat([model.text(i.long(), m.float()) for i, m in zip(ids, masks)])
    return found


def error(found, expected):
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return ((found - expected).abs().max() / expected.abs().max()).item()


def embedded(program, run, modality, side, folder):
    files = {"pathology": FORMATS / "pathology.png", "xray": FORMATS / "xray.png", "text": REPORTS / "reports.csv"}
    file = files.get(modality, FORMATS / f"prepared_{modality}.nii.gz").relative_to(ROOT)
    settings = [f"size={side}"]
    if modality in ("ct", "mri"):
        settings = ["preparation=prepared", "size=[16,48,48]"]
    if modality == "text":
        settings = [f"tokenizer={(REPORTS / 'vocab.txt').relative_to(ROOT)}"]
    out = folder / "features.safetensors"
    command = [program, "embed", run, "--modality", modality, "--data-root", ROOT, "--data", file, "--pool", "none", "--out", out, "--force"]
    subprocess.run(command + [word for setting in settings for word in ("--set", setting)], check=True)
    return load_file(out)["features"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--medcoss", required=True, type=Path, help="the program")
    program = parser.parse_args().medcoss.resolve()
    rows = []

    small = json.loads((GOLDEN / "config.json").read_text())
    model = load(small, torch.load(GOLDEN / "medcoss_tiny.pth", weights_only=True)["model"])
    expected = load_file(GOLDEN / "recipe/reader_features.safetensors")
    names = {"ct": "prepared_ct", "mri": "prepared_mri", "pathology": "pathology_48", "xray": "xray_48", "text": "reports"}
    for modality, found in features(model, 48).items():
        rows.append((f"this file, small checkpoint, {modality}", error(found, expected[f"features.{names[modality]}"])))

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        checkpoint, run = folder / "published.pth", folder / "run"
        print(f"{random_checkpoint(FULL, checkpoint)} tensors, {checkpoint.stat().st_size / 1e6:.0f} MB", flush=True)
        subprocess.run([program, "import", checkpoint, "--out", run, "--set", "recipe=reference"], check=True)
        model = load(FULL, torch.load(checkpoint, weights_only=True)["model"])
        for modality, own in features(model, 224).items():
            rows.append((f"medcoss, published size, {modality}", error(embedded(program, run, modality, 224, folder), own)))

    for name, value in rows:
        print(f"{name:40} {value:.1e}")
    sys.exit(any(value >= LIMIT for _, value in rows))


if __name__ == "__main__":
    main()
