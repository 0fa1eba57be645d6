"""Configuration of an encoder of medcoss for transformers."""

from typing import Any

from transformers import PretrainedConfig


class MedcossConfig(PretrainedConfig):
    """``encoder`` has the arguments of the encoder of one token family: sizes, tokens, grid of the positions."""

    model_type = "medcoss"

    def __init__(self, encoder: dict[str, Any] | None = None, pooling: str = "mean", **others: Any) -> None:
        self.encoder = encoder or {}
        self.pooling = pooling
        for name, size in [
            ("hidden_size", "width"),
            ("num_hidden_layers", "layers"),
            ("num_attention_heads", "heads"),
            ("intermediate_size", "mlp_width"),
        ]:
            others.pop(name, None)
            setattr(self, name, self.encoder.get(size))
        super().__init__(**others)
