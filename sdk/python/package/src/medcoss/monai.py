"""A fine-tuned UNETR as a PyTorch module, built of MONAI's blocks.

``monai.networks.nets.UNETR`` itself cannot hold the model: its Transformer has no norm after embedding, no class token
beside the patches and no LayerScale, and its patches have 16 voxels along each axis. Its residual blocks and transposed
convolutions are the same, so the module is built of them, and losses, metrics and ``sliding_window_inference`` of MONAI
work with it.

>>> model = medcoss.monai.unetr("models/spleen")     # what `medcoss finetune` wrote
>>> logits = model(volumes)                          # float32 [B, C, *space] -> [B, classes, *space]
"""

import os

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock, get_conv_layer
from safetensors.torch import load
from torch import Tensor, nn

from medcoss.confined import Folder
from medcoss.documents import Document, field, read_document
from medcoss.errors import DamagedFileError, RunError, UnsupportedError
from medcoss.huggingface.encoder_medcoss import Encoder
from medcoss.model_config import ModelConfig
from medcoss.torch import load_parameters, own_name, parameters

__all__ = ["Unetr", "UnetrDecoder", "unetr"]

_MAX_WEIGHTS = 1 << 34
_MAX_SIDE = 1 << 16


def unetr(path: str | os.PathLike[str]) -> "Unetr":
    """The model in a folder that ``medcoss finetune`` wrote with ``decoder.name = "unetr"``, in evaluation mode.

    Products are computed in float32, also where the fine-tuning rounded them to bfloat16.
    """
    folder = Folder(path)
    try:
        if not folder.is_file("model.json"):
            raise RunError(f"{path} holds no finished model\nhint: name the folder that `medcoss finetune --out` wrote")
        where = folder.name_of("model.json")
        document = read_document(folder, "model.json")
        config = field(document, "config", dict, where)
        model = ModelConfig.parse(config.get("model"), where)
        sizes = _sizes_of(config, where)
        with folder.opened("weights.safetensors") as file:
            file.check_sha256(str(field(document, "checksums", dict, where).get("weights.safetensors")))
        values = load(folder.read("weights.safetensors", limit=_MAX_WEIGHTS))
    finally:
        folder.close()
    missing = {"head.out.bias", "head.out.weight", *(f"backbone.{name}" for name in parameters(model, 0))} - set(values)
    if missing:
        raise DamagedFileError(f"{path} is damaged: weights.safetensors has no tensor {min(missing)}")
    n_classes = len(values["head.out.bias"])
    with torch.device("meta"):
        decoder = UnetrDecoder(**sizes, width=model.width, n_classes=n_classes)
        module = Unetr(Encoder(**model.encoder(0)), decoder, config.get("class_token") is True)
    own = {f"encoder.{own_name(name, 0)}": values[f"backbone.{name}"] for name in parameters(model, 0)}
    own |= {_decoder_name(name): value for name, value in values.items() if name.startswith("head.")}
    last = "decoder.out.conv.weight"
    own[last] = own[last].t()[:, :, None, None, None].contiguous()
    load_parameters(module, own, str(path))
    return module.eval()


def _sizes_of(config: Document, where: str) -> Document:
    """Sizes of the decoder in the configuration of a model."""
    decoder, grid = field(config, "head", dict, where).get("voxels"), config.get("grid")
    if not isinstance(decoder, dict) or decoder.get("name") != "unetr" or not isinstance(grid, dict):
        raise UnsupportedError(
            f"{where} is of a model with the head {config['head']!r:.80}, expected the decoder unetr"
        )
    sizes = {name: grid.get(name) for name in ("grid", "patch", "channels")} | {
        "feature_size": decoder.get("feature_size")
    }
    counts = [*(sizes["grid"] or []), *(sizes["patch"] or []), sizes["channels"], sizes["feature_size"]]
    if len(counts) != 8 or not all(type(count) is int and 0 < count <= _MAX_SIDE for count in counts):
        raise DamagedFileError(f"{where} is damaged: its decoder has the sizes {sizes!r:.200}")
    return sizes


def _decoder_name(path: str) -> str:
    """``head.ups.0.residual.conv1.weight`` is ``decoder.ups.0.residual.conv1.conv.weight``."""
    parts = path.split(".")
    return ".".join(["decoder", *parts[1:-1], "conv", parts[-1]])


class Unetr(nn.Module):
    """An encoder with a UNETR decoder (Hatamizadeh et al., WACV 2022)."""

    def __init__(self, encoder: Encoder, decoder: "UnetrDecoder", class_token: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.class_token = encoder, decoder, class_token

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, classes, *space]`` of images ``[B, C, *space]``, as the plugin of the modality gives them."""
        blocks = self.decoder.blocks(len(self.encoder.blocks))
        features = self.encoder.features(images, blocks, class_token=self.class_token)
        if self.class_token:
            features = [feature[:, 1:] for feature in features]
        batch, channels, *sides = images.shape
        missing = [1] * (3 - len(sides))
        logits = self.decoder(images.reshape(batch, channels, *missing, *sides), features)
        return logits.reshape(batch, -1, *sides)


class UnetrDecoder(nn.Module):
    """From the image and the features of blocks to logits, by doublings from the grid of tokens to the voxels."""

    def __init__(
        self, *, grid: list[int], patch: list[int], channels: int, width: int, feature_size: int, n_classes: int
    ) -> None:
        super().__init__()
        self.patch = patch
        n = max(side.bit_length() - 1 for side in patch)
        # Axes with smaller patches than others double last.
        doublings = [[2 if at + side.bit_length() - 1 >= n else 1 for side in patch] for at in range(n)]
        kernel = [3 if tokens * side > 1 else 1 for tokens, side in zip(grid, patch)]
        sizes = [feature_size << (n - 1 - at) for at in range(n)]
        self.image = _residual(channels, feature_size, kernel)
        self.skips = nn.ModuleList(
            _Skip(width, feature_size << (block + 1), doublings[: n - 1 - block], kernel) for block in range(n - 1)
        )
        self.ups = nn.ModuleList(
            _Up(below, size, factors, kernel, 2 * size)
            for below, size, factors in zip([width, *sizes], sizes, doublings)
        )
        self.out = get_conv_layer(3, feature_size, n_classes, kernel_size=1, bias=True, act=None, norm=None)

    def blocks(self, layers: int) -> list[int]:
        """Numbers of the encoder's blocks whose outputs the decoder reads, from 1: 4, 7, 10 and 12 of twelve."""
        n = len(self.ups)
        return [layers if at == n else min(-(-layers * at // n) + 1, layers) for at in range(1, n + 1)]

    def forward(self, image: Tensor, features: list[Tensor]) -> Tensor:
        """Logits ``[B, classes, depth, height, width]`` of ``image`` ``[B, C, depth, height, width]`` and the features
        ``[B, N, D]`` after each of :meth:`blocks`, without class tokens."""
        grid = [side // length for side, length in zip(image.shape[2:], self.patch)]
        arrays = [feature.transpose(1, 2).reshape(image.shape[0], -1, *grid) for feature in features]
        x = arrays[-1]
        for at, up in enumerate(self.ups):
            block = len(self.skips) - at - 1
            skip = self.skips[block](arrays[block]) if block >= 0 else self.image(image)
            x = up(x, skip)
        return self.out(x)


class _Skip(nn.Module):
    """From the features of a block to the size of a level."""

    def __init__(self, width: int, size: int, doublings: list[list[int]], kernel: list[int]) -> None:
        super().__init__()
        self.first = _transposed(width, size, doublings[0])
        self.blocks = nn.ModuleList(_Up(size, size, factors, kernel, size) for factors in doublings[1:])

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x


class _Up(nn.Module):
    """A doubling, and a residual block after it; a skip connection joins in between."""

    def __init__(self, below: int, size: int, factors: list[int], kernel: list[int], joined: int) -> None:
        super().__init__()
        self.up = _transposed(below, size, factors)
        self.residual = _residual(joined, size, kernel)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = self.up(x)
        return self.residual(x if skip is None else torch.cat([x, skip], 1))


def _residual(d_in: int, d_out: int, kernel: list[int]) -> UnetResBlock:
    return UnetResBlock(3, d_in, d_out, kernel_size=kernel, stride=1, norm_name="instance")


def _transposed(d_in: int, d_out: int, factors: list[int]) -> nn.Module:
    return get_conv_layer(3, d_in, d_out, kernel_size=factors, stride=factors, act=None, norm=None, is_transposed=True)
