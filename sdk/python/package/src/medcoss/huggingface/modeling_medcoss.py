"""An encoder of medcoss as a model of transformers: ``AutoModel.from_pretrained(folder, trust_remote_code=True)``."""

from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .configuration_medcoss import MedcossConfig
from .encoder_medcoss import Encoder


class MedcossModel(PreTrainedModel):
    """Encoder of one token family.

    ``last_hidden_state`` ``[B, T, D]`` are the outputs of the last block, the class token first where there is one, and
    ``pooler_output`` ``[B, D]`` their mean without padding, as ``medcoss embed`` writes it. ``hidden_states`` are what
    enters the first block, and the output of each block.
    """

    config_class = MedcossConfig
    base_model_prefix = "medcoss"
    main_input_name = "pixel_values"

    def __init__(self, config: MedcossConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(**config.encoder)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """``pixel_values`` are arrays ``[B, C, *space]`` or tokens ``[B, N, d_token]`` of continuous tokens,
        ``input_ids`` ids ``[B, N]`` of discrete ones; ``attention_mask`` ``[B, N]`` is 0 at padding."""
        inputs = input_ids if pixel_values is None else pixel_values
        if inputs is None:
            raise ValueError("neither pixel_values nor input_ids is given")
        hidden = self.encoder.features(inputs, list(range(len(self.encoder.blocks) + 1)), attention_mask)
        pooled = self.encoder.pooled(hidden[-1], attention_mask, self.config.pooling)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        outputs = BaseModelOutputWithPooling(
            last_hidden_state=hidden[-1], pooler_output=pooled, hidden_states=tuple(hidden) if wanted else None
        )
        return outputs if return_dict is not False else outputs.to_tuple()
