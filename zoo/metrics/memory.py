"""What memory a model needs beside its weights."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch._dynamo  # noqa: F401 -- else the first operation would: its frames hold tensors
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zoo.metrics.base import Measured, Metric
from zoo.metrics.costs import decoded, first_examples
from zoo.metrics.subject import Subject


class Memory(Metric):
    """The most that intermediate results take while one example is encoded and its code decoded.

    Counted are the storages that operations return, from then until nothing holds them: those of
    the weights and of the example were there before, and what an operation uses within itself is
    not seen. It is the same on every machine.
    """

    version = 1
    unit = "bytes an example"
    better = "lower"

    def measure(self, subject: Subject) -> Measured:
        batch = first_examples(subject, 1)
        with Alive() as alive:
            decoded(subject, subject.model.encode(batch), batch)
        return Measured.of_all(alive.most)


class Alive(TorchDispatchMode):
    """How many bytes of the results of operations are held at the same time.

    >>> import torch
    >>> x = torch.zeros(10)
    >>> with Alive() as alive:
    ...     y = (x + 1).exp().view(2, 5)  # 40 bytes of the sum, 40 of its exponential
    >>> alive.now, alive.most
    (40, 80)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.most = 0, 0
        self._holders: Counter[int] = Counter()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = {_storage(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        found = func(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, Tensor) and _storage(each) not in given - self._holders.keys():
                self._hold(each)
        return found

    def _hold(self, tensor: Tensor) -> None:
        place, size = _storage(tensor), tensor.untyped_storage().nbytes()
        if not self._holders[place]:
            self.now += size
            self.most = max(self.most, self.now)
        self._holders[place] += 1
        weakref.finalize(tensor, self._let_go, place, size)

    def _let_go(self, place: int, size: int) -> None:
        self._holders[place] -= 1
        if not self._holders[place]:
            del self._holders[place]
            self.now -= size


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
