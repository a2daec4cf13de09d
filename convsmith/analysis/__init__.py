"""Facts about a graph, asked of its operators: pure functions that return frozen results."""

from convsmith.analysis.cost import Cost as Cost
from convsmith.analysis.cost import LayerCost as LayerCost
from convsmith.analysis.cost import cost as cost
from convsmith.analysis.receptive import ReceptiveField as ReceptiveField
from convsmith.analysis.receptive import receptive_fields as receptive_fields
from convsmith.analysis.sections import Section as Section
from convsmith.analysis.sections import section_of as section_of
from convsmith.analysis.sections import sections as sections
