"""MONAI's UNETR with fresh parameters on the split of a fine-tuned model of medcoss, for a comparison of Dice.

    python3 monai_unetr.py MODEL IMAGES LABELS --size 32 48 32 --epochs 40

MODEL is a folder that `medcoss finetune` wrote for a task with `crop = "whole"`: its cases.csv names the test files, all others are learned
from. Scans are resized and standardised as the plugin mri does, and Dice is computed in the resized grid as medcoss does.
Needs torch, monai, nibabel, numpy, scipy.
"""

import argparse
import csv
import json
import pathlib
import time

import nibabel
import numpy
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNETR


def volume(path, size, order):
    """A scan in the directions of the body, as depth, rows, columns, resized to `size`."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    values = numpy.asarray(image.dataobj, dtype=numpy.float32).transpose(2, 1, 0)
    tensor = torch.from_numpy(values)[None, None]
    if order == 0:
        return torch.nn.functional.interpolate(tensor, size=size, mode="nearest-exact")[0, 0].long()
    resized = torch.nn.functional.interpolate(tensor, size=size, mode="trilinear", align_corners=False)[0, 0]
    low, high = numpy.percentile(resized.numpy(), [0.2, 99.8])
    resized = resized.clip(float(low), float(high))
    return (resized - resized.mean()) / (resized.std() + 1e-6)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("labels", type=pathlib.Path)
    parser.add_argument("--size", type=int, nargs=3, default=[32, 48, 32])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--feature-size", type=int, default=8)
    parser.add_argument("--hidden-size", type=int, default=192)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    size = tuple(arguments.size)

    with open(arguments.model / "cases.csv") as file:
        test = {pathlib.Path(row["id"].split("#")[0]).name for row in csv.DictReader(file)}
    files = sorted(path.name for path in arguments.images.iterdir() if path.name.endswith((".nii", ".nii.gz")))
    missing = test - set(files)
    if missing:
        raise SystemExit(f"test files that are not in {arguments.images}: {sorted(missing)[:3]}")
    images = {name: volume(arguments.images / name, size, 1) for name in files}
    labels = {name: volume(arguments.labels / name, size, 0) for name in files}
    train = [name for name in files if name not in test]
    n_classes = int(max(label.max() for label in labels.values())) + 1

    model = UNETR(
        in_channels=1,
        out_channels=n_classes,
        img_size=size,
        feature_size=arguments.feature_size,
        hidden_size=arguments.hidden_size,
        mlp_dim=4 * arguments.hidden_size,
        num_heads=arguments.heads,
        norm_name="instance",
        res_block=True,
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate, weight_decay=0.05)
    n_updates = arguments.epochs * -(-len(train) // arguments.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_updates)
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)
    generator = numpy.random.default_rng(arguments.seed)
    began = time.monotonic()
    for epoch in range(arguments.epochs):
        model.train()
        order, total = generator.permutation(train), 0.0
        for start in range(0, len(order), arguments.batch_size):
            names = order[start : start + arguments.batch_size]
            x = torch.stack([images[name] for name in names])[:, None]
            y = torch.stack([labels[name] for name in names])[:, None]
            axes = [axis for axis in (2, 3, 4) if generator.random() < 0.5]
            if axes:
                x, y = x.flip(axes), y.flip(axes)
            optimiser.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 12.0)
            optimiser.step()
            schedule.step()
            total += loss.item() * len(names)
        print(f"epoch {epoch + 1}/{arguments.epochs}: loss {total / len(order):.4f}", flush=True)
    seconds = time.monotonic() - began

    model.eval()
    dice = []
    with torch.no_grad():
        for name in sorted(test):
            predicted = model(images[name][None, None]).argmax(1)[0]
            pairs = [(predicted == label, labels[name] == label) for label in range(1, n_classes)]
            both = [(2.0 * (a & b).sum() / max((a.sum() + b.sum()).item(), 1)).item() if (a | b).any() else 1.0 for a, b in pairs]
            dice.append(both)
    by_class = numpy.mean(dice, axis=0)
    found = {"n_train": len(train), "n_test": len(test), "dice": float(numpy.mean(dice)), "by_class": by_class.tolist(), "seconds": seconds}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
