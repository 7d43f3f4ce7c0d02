"""Strided convolutions with batch normalisation."""

import math
from itertools import pairwise

from pydantic import Field
from torch import nn

import zoo
from zoo.backbones import Backbone
from zoo.nn.maps import doubling, map_sizes
from zoo.settings import Settings


@zoo.register("batch-norm-conv", summary="Strided convolutions with batch normalisation")
class BatchNormConv(Backbone):
    class Config(Settings):
        channels: tuple[int, ...] = Field((16, 32), min_length=1, max_length=8)

    def encoder(self, input_shape: tuple[int, ...]) -> nn.Module:
        channels = self.config.channels
        *_, coarsest = map_sizes(self.image(input_shape), len(channels))
        layers = []
        for before, after in pairwise((input_shape[0], *channels)):
            layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False))
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Flatten())
        network.out_features = channels[-1] * math.prod(coarsest)
        return network

    def decoder(self, in_features: int, output_shape: tuple[int, ...]) -> nn.Module:
        channels = (output_shape[0], *self.config.channels)
        *sizes, coarsest = map_sizes(self.image(output_shape), len(channels) - 1)
        maps = channels[-1], *coarsest
        layers = [nn.Linear(in_features, math.prod(maps)), nn.Unflatten(1, maps)]
        for (after, before), size in reversed([*zip(pairwise(channels), sizes, strict=True)]):
            layers += [nn.BatchNorm2d(before), nn.ReLU(), *doubling(before, after, size)]
        return nn.Sequential(*layers)
