"""The encoder of medcoss for one token family, in PyTorch: the same numbers as the program.

Sizes in comments: ``B`` samples, ``N`` tokens of a sample, ``T`` outputs (``1 + N`` with the class token of continuous
tokens, ``N`` of discrete ones), ``D`` width. The file stands alone: it is also a part of each exported folder.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .positions_medcoss import place_weights

N_TEMPORAL = 8


class Encoder(nn.Module):
    """Embedder of a token family, and the Transformer that all families share.

    Continuous tokens (images, volumes, signals) have ``d_token`` values each, which are those of a patch in row-major
    order with the channels last. Discrete tokens are ids below ``vocabulary``. ``grid`` and ``axes`` say what the
    position table belongs to; samples of another grid take interpolated positions, as in the program.

    Stochastic depth and random temporal positions, which the pre-training has, are not part of this module.
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        heads: int,
        mlp_width: int,
        n_positions: int,
        family: str = "",
        d_token: int | None = None,
        vocabulary: int | None = None,
        causal: bool = False,
        grid: list[int] | None = None,
        patch: list[int] | None = None,
        axes: list[dict[str, Any]] | None = None,
        interpolation: str = "linear",
        embedding_norm: bool = True,
        final_norm: bool = False,
        epsilon: float = 1e-5,
        n_registers: int = 0,
        mlp: str = "gelu",
    ) -> None:
        super().__init__()
        if (d_token is None) == (vocabulary is None):
            raise ValueError("an encoder has either d_token (continuous tokens) or vocabulary (discrete tokens)")
        self.family, self.width, self.n_positions, self.causal = family, width, n_positions, causal
        self.d_token, self.patch, self.grid = d_token, patch, grid
        self.embedder: nn.Module
        if d_token is not None:
            self.embedder = PatchEmbedder(width, d_token, n_positions, grid, axes, interpolation)
            self.class_token = nn.Parameter(torch.zeros(1, 1, width))
            self.registers = nn.Parameter(torch.zeros(1, n_registers, width)) if n_registers else None
            self.patch_norm = nn.LayerNorm(width, epsilon) if embedding_norm else nn.Identity()
        elif vocabulary is not None:
            self.embedder = TokenEmbedder(width, vocabulary, n_positions)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_width, epsilon, mlp) for _ in range(layers))
        self.norm = nn.LayerNorm(width, epsilon) if final_norm else nn.Identity()

    def forward(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        *,
        grid: list[int] | None = None,
        axes: list[dict[str, Any]] | None = None,
    ) -> Tensor:
        """Outputs ``[B, T, D]`` of the last block, the class token first where there is one.

        ``inputs`` are ids ``[B, N]`` of discrete tokens, tokens ``[B, N, d_token]``, or arrays ``[B, C, *space]`` (with
        the sides of ``space`` in multiples of the patch), float32 as the plugins give them: pixels of images in [0, 1].
        ``attention_mask`` ``[B, N]`` is nonzero where a token exists; padding of texts is 0. ``grid`` (tokens along
        each axis) and ``axes`` (as in the configuration) say where the samples' tokens lie; by default an array has the
        axes of the position table, and tokens have its first entries.
        """
        return self.features(inputs, [len(self.blocks)], attention_mask, grid=grid, axes=axes)[0]

    def features(
        self,
        inputs: Tensor,
        blocks: list[int],
        attention_mask: Tensor | None = None,
        *,
        grid: list[int] | None = None,
        axes: list[dict[str, Any]] | None = None,
        class_token: bool = True,
    ) -> list[Tensor]:
        """Outputs ``[B, T, D]`` of blocks, numbered from 1; 0 is what enters the first block, and the last one's output
        has the final norm, where the model has one. Without ``class_token`` there are no class and register tokens, and
        the others do not see them. Arguments as in :meth:`forward`."""
        x = self.embed(inputs, grid, axes)
        registers = None if self.d_token is None or not class_token else self.registers
        if self.d_token is not None and class_token:
            prefix = [part.expand(x.shape[0], -1, -1) for part in (self.class_token, registers) if part is not None]
            x = torch.cat([*prefix, x], 1)
            if attention_mask is not None:
                attention_mask = F.pad(attention_mask, (x.shape[1] - attention_mask.shape[1], 0), value=1)
        visible = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        if self.causal:
            earlier = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
            visible = earlier if visible is None else visible & earlier
        outputs = [x]
        for block in self.blocks:
            outputs.append(block(outputs[-1], visible))
        outputs[-1] = self.norm(outputs[-1])
        if registers is not None:
            # Registers stay in the encoder.
            outputs = [torch.cat([x[:, :1], x[:, 1 + registers.shape[1] :]], 1) for x in outputs]
        return [outputs[number] for number in blocks]

    def pooled(self, outputs: Tensor, attention_mask: Tensor | None = None, pooling: str = "mean") -> Tensor:
        """Outputs ``[B, T, D]`` as one row a sample, ``[B, D]``: the ``mean`` over all tokens that exist, class token
        included, as the program selects buffers by, or the class token alone (``cls``)."""
        if pooling == "cls" and self.d_token is not None:
            return outputs[:, 0]
        if pooling != "mean":
            raise ValueError(f"pooling is {pooling!r}, expected mean, or cls where there is a class token")
        if attention_mask is None:
            return outputs.mean(1)
        exists = attention_mask.bool()
        if self.d_token is not None:
            exists = F.pad(exists, (1, 0), value=1)
        weights = exists.to(outputs.dtype) / exists.sum(1, keepdim=True).clamp(min=1)
        return (outputs * weights[..., None]).sum(1)

    def embed(self, inputs: Tensor, grid: list[int] | None = None, axes: list[dict[str, Any]] | None = None) -> Tensor:
        """Embedded tokens ``[B, N, D]`` with positions, normalised, without the class token."""
        if self.d_token is None:
            return self.embedder(inputs)
        if inputs.dim() != 3:
            inputs, grid = self.tokens(inputs)
        if inputs.shape[-1] != self.d_token:
            raise ValueError(f"tokens have {inputs.shape[-1]} values, expected {self.d_token} for family {self.family}")
        return self.patch_norm(self.embedder(inputs, grid, axes))

    def tokens(self, array: Tensor) -> tuple[Tensor, list[int]]:
        """Tokens ``[B, N, d_token]`` of arrays ``[B, C, *space]``, and their grid."""
        batch, channels, *sides = array.shape
        patch = self.patch or []
        if len(sides) != len(patch) or not patch or any(side % length for side, length in zip(sides, patch)):
            expected = f"[B, N, {self.d_token}]" + (f" or [B, C, *space] in multiples of {patch}" if patch else "")
            raise ValueError(f"inputs have the shape {list(array.shape)}, expected {expected} for family {self.family}")
        grid = [side // length for side, length in zip(sides, patch)]
        blocks = array.reshape(batch, channels, *(n for pair in zip(grid, patch) for n in pair))
        places, values = range(2, 2 + 2 * len(grid), 2), range(3, 3 + 2 * len(grid), 2)
        return blocks.permute(0, *places, *values, 1).reshape(batch, math.prod(grid), -1), grid


class PatchEmbedder(nn.Module):
    """Linear layer over a token's values, a spatial position, and the first temporal one."""

    def __init__(
        self,
        width: int,
        d_token: int,
        n_positions: int,
        grid: list[int] | None,
        axes: list[dict[str, Any]] | None,
        interpolation: str,
    ) -> None:
        super().__init__()
        self.grid, self.axes, self.interpolation = grid, axes, interpolation
        self.projection = nn.Linear(d_token, width)
        self.spatial = nn.Parameter(torch.zeros(n_positions, width))
        self.temporal = nn.Parameter(torch.zeros(N_TEMPORAL, width))

    def forward(self, tokens: Tensor, grid: list[int] | None, axes: list[dict[str, Any]] | None) -> Tensor:
        return self.projection(tokens) + self.positions(tokens.shape[1], grid, axes) + self.temporal[0]

    def positions(
        self, n_tokens: int, grid: list[int] | None = None, axes: list[dict[str, Any]] | None = None
    ) -> Tensor:
        """Spatial positions ``[N, D]``: the table's first entries, or those at the places of another grid."""
        table: Tensor = self.spatial
        if grid is None or self.grid is None:
            if n_tokens > len(table):
                raise ValueError(f"samples have {n_tokens} tokens, expected at most {len(table)}, as many as positions")
            return table[:n_tokens]
        if len(grid) != len(self.grid) or math.prod(grid) != n_tokens:
            raise ValueError(
                f"the grid is {grid} for {n_tokens} tokens, expected {len(self.grid)} sides of that product"
            )
        known = self.axes or [{}] * len(grid)
        if grid == self.grid and (axes is None or axes == known):
            return table[:n_tokens]
        table = table[: math.prod(self.grid)].reshape(*self.grid, -1)
        for at, (reference, own) in enumerate(zip(known, axes or known)):
            weights = table.new_tensor(place_weights(reference, own, self.grid[at], grid[at], self.interpolation))
            table = torch.tensordot(weights, table, dims=([1], [at])).movedim(0, at)
        return table.reshape(n_tokens, -1)


class TokenEmbedder(nn.Module):
    """Embedding of ids ``[B, N]``, a position, the first token type, and a norm."""

    def __init__(self, width: int, vocabulary: int, n_positions: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(vocabulary, width))
        self.positions = nn.Parameter(torch.zeros(n_positions, width))
        self.types = nn.Parameter(torch.zeros(2, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        if ids.dim() != 2 or ids.shape[1] > len(self.positions):
            expected = f"[B, N] of at most {len(self.positions)} tokens"
            raise ValueError(f"ids have the shape {list(ids.shape)}, expected {expected}")
        return self.norm(F.embedding(ids, self.tokens) + self.positions[: ids.shape[1]] + self.types[0])


class Block(nn.Module):
    """Attention and MLP, each on a normalised input, scaled by channel and added to the residual stream."""

    def __init__(self, width: int, heads: int, mlp_width: int, epsilon: float, mlp: str) -> None:
        super().__init__()
        self.is_gated = {"gelu": False, "swiglu": True}[mlp]
        self.attention_norm, self.attention = nn.LayerNorm(width, epsilon), SelfAttention(width, heads)
        self.attention_scale = nn.Parameter(torch.ones(width))
        self.mlp_norm = nn.LayerNorm(width, epsilon)
        self.mlp_in = nn.Linear(width, 2 * mlp_width if self.is_gated else mlp_width)
        self.mlp_out = nn.Linear(mlp_width, width)
        self.mlp_scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, visible: Tensor | None) -> Tensor:
        x = x + self.attention_scale * self.attention(self.attention_norm(x), visible)
        hidden = self.mlp_in(self.mlp_norm(x))
        if self.is_gated:
            gate, value = hidden.chunk(2, -1)
            return x + self.mlp_scale * self.mlp_out(F.silu(gate) * value)
        return x + self.mlp_scale * self.mlp_out(F.gelu(hidden))


class SelfAttention(nn.Module):
    """Multi-head self-attention; ``visible`` broadcasts to ``[B, heads, T, T]``, true where a query sees a key."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, visible: Tensor | None) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self.projection(x.transpose(1, 2).flatten(2))
