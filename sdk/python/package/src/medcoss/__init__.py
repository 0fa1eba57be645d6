"""medcoss in Python: what a run holds, and its encoders as PyTorch modules.

``import medcoss`` imports neither NumPy nor PyTorch. ``medcoss.Run`` reads the folder of a run. ``medcoss.torch`` has
the encoder, ``medcoss.monai`` a fine-tuned UNETR, and ``python -m medcoss.onnx`` writes an ONNX file.
"""

from medcoss.errors import DamagedFileError, MedcossError, RunError, UnsafePathError, UnsupportedError
from medcoss.run import Evaluation, InitialModel, Metrics, Run, Stage

__all__ = [
    "DamagedFileError",
    "Evaluation",
    "InitialModel",
    "MedcossError",
    "Metrics",
    "Run",
    "RunError",
    "Stage",
    "UnsafePathError",
    "UnsupportedError",
]
