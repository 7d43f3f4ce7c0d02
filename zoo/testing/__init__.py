"""The contract of variants, as checks that whoever writes a component can run.

A component of your own is tested by being used: register it, then

>>> import zoo.testing
>>> checks = zoo.testing.checks_of("gaussian-vae", {"latent_dim": 2})
>>> print(checks[0])
images-bernoulli-shapes_and_types
>>> checks[0]()

With pytest, ``@pytest.mark.parametrize("check", zoo.testing.checks_of("mine"), ids=str)`` makes a
test of each. Nothing here needs pytest.
"""

from zoo.testing.checks import Check, check_variant, checks_of

__all__ = ["Check", "check_variant", "checks_of"]
