from zoo.api.catalogue import info as info
from zoo.api.catalogue import list_benchmarks as list_benchmarks
from zoo.api.catalogue import list_checkpoints as list_checkpoints
from zoo.api.catalogue import list_datasets as list_datasets
from zoo.api.catalogue import list_variants as list_variants
from zoo.api.load import load as load
from zoo.api.make import create as create
from zoo.api.make import save as save
from zoo.api.measure import compare as compare
from zoo.api.measure import evaluate as evaluate
from zoo.api.measure import verify as verify
from zoo.api.train import train as train
from zoo.core.batch import Batch as Batch
from zoo.core.draws import Draws as Draws
from zoo.core.model import LatentVariableModel as LatentVariableModel
from zoo.data import load_dataset as load_dataset
from zoo.errors import ZooError as ZooError
from zoo.registry import register as register
from zoo.registry import use_registry as use_registry
from zoo.training.config import Experiment as Experiment
from zoo.training.launch import Run as Run
from zoo.training.launch import resume as resume
from zoo.training.launch import train_experiment as train_experiment
from zoo.variants.univae.decoding import Beam as Beam
from zoo.variants.univae.decoding import Draw as Draw
from zoo.variants.univae.decoding import Greedy as Greedy

__version__: str
