"""The closed expression language: Jinja's syntax, our own interpreter, plain JSON values.

A text is read once (about 60 microseconds for a short condition) and rendered many times (about one).
"""

from appliance.expressions.errors import ExpressionError, StateNeeded
from appliance.expressions.run import Scope, StateReader
from appliance.expressions.template import Template, compile_condition, compile_template
from appliance.expressions.tree import Tree, compile_tree
from appliance.expressions.values import to_text, truth

__all__ = [
    "ExpressionError",
    "Scope",
    "StateNeeded",
    "StateReader",
    "Template",
    "Tree",
    "compile_condition",
    "compile_template",
    "compile_tree",
    "to_text",
    "truth",
]
