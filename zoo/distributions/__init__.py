"""Distributions torch does not have, as full ``torch.distributions`` citizens.

A model needs few of them, so each is imported when it is first asked for.
"""

from zoo.startup import names_of_stub

__getattr__, __dir__ = names_of_stub(__name__, __file__)
