"""Designs: what a person writes down, its file format, and the graph it stands for."""

from convsmith.design.lower import lower as lower
from convsmith.design.model import Design as Design
from convsmith.design.model import Head as Head
from convsmith.design.model import Stage as Stage
from convsmith.design.model import Stem as Stem
from convsmith.design.toml_file import make_design as make_design
from convsmith.design.toml_file import parse_design as parse_design
from convsmith.design.toml_file import read_design as read_design
from convsmith.design.toml_file import write_design as write_design
