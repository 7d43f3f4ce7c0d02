"""zoo: a model zoo of variational autoencoders.

>>> import zoo
>>> "gaussian-vae" in zoo.list_variants()
True

Importing zoo, and listing what it holds, does not import torch: each name is resolved when it is
first used. The public names stand in ``__init__.pyi``, once for readers, type checkers and Python.
"""

from zoo.startup import names_of_stub

__version__ = "0.1.0"
__getattr__, __dir__ = names_of_stub(__name__, __file__)
