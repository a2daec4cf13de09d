"""Facts about a graph, asked of its operators: pure functions that return frozen results."""

from convsmith.analysis.cost import Cost as Cost
from convsmith.analysis.cost import LayerCost as LayerCost
from convsmith.analysis.cost import cost as cost
from convsmith.analysis.levels import Lane as Lane
from convsmith.analysis.levels import Level as Level
from convsmith.analysis.levels import lanes as lanes
from convsmith.analysis.levels import levels as levels
from convsmith.analysis.lints import Lint as Lint
from convsmith.analysis.lints import lints as lints
from convsmith.analysis.memory import Memory as Memory
from convsmith.analysis.memory import TrainingMemory as TrainingMemory
from convsmith.analysis.memory import memory as memory
from convsmith.analysis.memory import training_memory as training_memory
from convsmith.analysis.operator import operator as operator
from convsmith.analysis.receptive import AxisField as AxisField
from convsmith.analysis.receptive import ReceptiveField as ReceptiveField
from convsmith.analysis.receptive import receptive_fields as receptive_fields
from convsmith.analysis.sections import Section as Section
from convsmith.analysis.sections import sections as sections
from convsmith.analysis.sizes import InputSize as InputSize
from convsmith.analysis.sizes import nearest_sizes as nearest_sizes
from convsmith.analysis.support import supports as supports
from convsmith.analysis.waste import AxisWaste as AxisWaste
from convsmith.analysis.waste import LayerWaste as LayerWaste
from convsmith.analysis.waste import Waste as Waste
from convsmith.analysis.waste import waste as waste
