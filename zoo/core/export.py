"""What torch.export makes programs of: a model, its encoder, its decoder.

A program is weights and operations, and runs where zoo is not installed (``torch.export.load``).

- :class:`Encode` and :class:`Decode` take tensors and answer with one.
- A model itself answers with the parts of its draws by their names, see
  :meth:`~zoo.core.draws.Draws.tensors`, of noise drawn at every call. Of a :class:`Batch`, as a
  model that is told a condition needs, there is such a program, but no file: it would name zoo.

Export in evaluation mode, of two examples or more where their number is to be dynamic. A program
does not check values. A program of ``m2`` is for the number of examples it was made with. Models
that make x token by token, or pixel by pixel, are decoded in none: exporting their :class:`Decode`
raises UnsupportedError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from zoo.core.batch import Batch
from zoo.errors import UnsupportedError

if TYPE_CHECKING:
    from zoo.core.model import LatentVariableModel
    from zoo.nn.layers import Layer


class Encode(nn.Module):
    """Examples (B, ...) and conditions, for a model that is told one, to codes (B, D).

    >>> import torch, zoo
    >>> model = zoo.create("gaussian-vae", latent_dim=3).eval()
    >>> batch = {0: torch.export.Dim("batch")}
    >>> program = torch.export.export(
    ...     Encode(model), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=(batch,)
    ... )
    >>> program.module()(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 3])
    """

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.model.encode(Batch(x, condition))


class Decode(nn.Module):
    """Codes (B, D) and conditions, for a model that is told one, to the means of p(x|z), (B, ...).

    Images may lie beyond [0, 1] under a Gaussian likelihood; what a model shows is cut off there.

    >>> import torch, zoo
    >>> model = zoo.create("gaussian-vae", latent_dim=3).eval()
    >>> program = torch.export.export(Decode(model), (torch.zeros(2, 3),))
    >>> program.module()(torch.ones(2, 3)).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.model.estimate(z, condition)

    def as_layers(self) -> list[Layer]:
        """Layers from a code beside the numbers it is told, (B, D + C), to the same.

        Raises UnsupportedError where the decoder is more than a list of layers.
        """
        make = getattr(self.model, "decoder_layers", None)
        if make is None:
            raise UnsupportedError(
                f"the decoder of {type(self.model).__name__} is more than a list of layers; those "
                "of variants with one latent vector, such as 'gaussian-vae', are"
            )
        found: list[Layer] = make()
        return found
