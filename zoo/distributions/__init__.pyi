from zoo.distributions.bernoulli_image import BernoulliImage
from zoo.distributions.discretized_logistic import DiscretizedLogistic
from zoo.distributions.finite_mixture import EqualMixture
from zoo.distributions.hyperspherical_uniform import HypersphericalUniform
from zoo.distributions.mixture_of_discretized_logistics import MixtureOfDiscretizedLogistics
from zoo.distributions.observed import observed_log_prob
from zoo.distributions.power_spherical import PowerSpherical
from zoo.distributions.product import ProductDistribution
from zoo.distributions.von_mises_fisher import TabulatedVonMisesFisher, VonMisesFisher

__all__ = [
    "BernoulliImage",
    "DiscretizedLogistic",
    "EqualMixture",
    "HypersphericalUniform",
    "MixtureOfDiscretizedLogistics",
    "PowerSpherical",
    "ProductDistribution",
    "TabulatedVonMisesFisher",
    "VonMisesFisher",
    "observed_log_prob",
]
