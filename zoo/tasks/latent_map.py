"""Where the examples of each class have their codes."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.latent_space import Euclidean, Sphere
from zoo.core.model import LatentVariableModel
from zoo.data.examples import are_classes
from zoo.errors import UnsupportedError
from zoo.evaluation.principal import principal_plane
from zoo.pictures.code_map import CodeMap
from zoo.settings import Settings
from zoo.tasks.drawing import Drawing, Show, codes_of, examples_of


class LatentMap(Drawing):
    """The codes of examples as points, coloured by class where there are labels.

    Codes of two numbers are drawn as they are, those on a sphere in R^3 on it, seen from the front
    and from behind, and all others on the plane of their first two principal axes.
    """

    class Config(Settings):
        """``n`` examples, at most."""

        n: int = Field(10_000, ge=3, le=100_000)

    config: Config

    @property
    def examples(self) -> int:
        return self.config.n

    def check_model(self, model: LatentVariableModel) -> None:
        if model.code_dim < 2:
            raise UnsupportedError("a map has two directions, and codes of this model one number")

    def draw(self, model: LatentVariableModel, batch: Batch | None, show: Show) -> CodeMap:
        batch = examples_of(batch)
        codes = codes_of(model, batch).cpu().float()
        labels = batch.labels if batch.labels is not None and are_classes(batch.labels) else None
        return self._map(model, codes, None if labels is None else labels.cpu())

    def _map(self, model: LatentVariableModel, codes: Tensor, labels: Tensor | None) -> CodeMap:
        count = f"{len(codes):,} examples"
        if model.space == Sphere(3):
            title = "Codes on the sphere, from the front and from behind"
            return CodeMap(codes, labels, title, count)
        if model.space == Euclidean(2):
            known = model.code_variance == 1 and model.has_evidence
            note = f"{count}; circles at 1, 2, ... deviations of the prior" if known else count
            return CodeMap(codes, labels, "Codes in the plane", note, circles=known)
        plane = principal_plane(codes)
        share = f"{100 * plane.share:.0f} % of the variance of {model.code_dim:,} dimensions"
        title = "Codes along their first two principal axes"
        return CodeMap(plane.coordinates(codes), labels, title, f"{count}; {share}")

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """A point for each example; those of spheres on the sphere, as they are encoded."""
        drawn = self.draw(model, batch, lambda codes, told: codes)
        codes = codes_of(model, batch).float()
        if len(drawn.codes) != len(codes):
            raise AssertionError(f"{len(drawn.codes)} points of {len(codes)} examples")
        if model.code_dim == drawn.codes.shape[1] and model.space in (Sphere(3), Euclidean(2)):
            torch.testing.assert_close(drawn.codes, codes, rtol=0, atol=0)
        drawn.picture.verify()
