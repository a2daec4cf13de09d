"""The network as a value: tensor types, window arithmetic, operators' questions, nodes and graphs.

Nothing here knows a file format, a framework or a concrete operator; the standard library is enough.
"""

from convsmith.ir.builder import Builder as Builder
from convsmith.ir.graph import Graph as Graph
from convsmith.ir.graph import Node as Node
from convsmith.ir.op import AxisRead as AxisRead
from convsmith.ir.op import BadSample as BadSample
from convsmith.ir.op import Kept as Kept
from convsmith.ir.op import Op as Op
from convsmith.ir.op import Sample as Sample
from convsmith.ir.op import Shape as Shape
from convsmith.ir.terms import Terms as Terms
from convsmith.ir.types import TensorType as TensorType
from convsmith.ir.window import Spread as Spread
from convsmith.ir.window import Window as Window
from convsmith.ir.window import same_padding as same_padding
