"""Scaling: designs made larger or smaller along depth, width and resolution, and designs that meet a budget exactly."""

from convsmith.scaling.axes import Factors as Factors
from convsmith.scaling.axes import scale as scale
from convsmith.scaling.limits import Limits as Limits
from convsmith.scaling.limits import Measure as Measure
from convsmith.scaling.price import Price as Price
from convsmith.scaling.price import price as price
from convsmith.scaling.rules import RULES as RULES
from convsmith.scaling.rules import Rule as Rule
from convsmith.scaling.solve import solve as solve
