"""ONNX files that no exporter writes: slow, deaf, damaged, or far too large.

usage: hostile.py FOLDER

slow.onnx       counts to `turns`; it hears when it is told to stop
deaf.onnx       weighs 20,000 numbers, `turns` times, in one operation: it does not hear
truncated.onnx  ends in the middle
huge.onnx       has a weight that says it is larger than any memory
glutton.onnx    takes half a gigabyte, whatever it is asked
swollen.onnx    asks for more memory than there is when `turns` is not zero
cubic.onnx      takes no rows of features
Prints one JSON line at the end.
"""

import json
import sys
from pathlib import Path

from onnx import TensorProto, helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
TURNS = helper.make_tensor_value_info("turns", FLOAT, [None, 1])
VALUE = helper.make_tensor_value_info("value", FLOAT, [None, 1])


def model(nodes, weights=(), inputs=(TURNS,)):
    graph = helper.make_graph(nodes, "graph", list(inputs), [VALUE], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()


def counted():
    """`count` is the largest of `turns`, a whole number."""
    return [
        helper.make_node("ReduceMax", ["turns"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["count"], to=INT64),
    ]


def slow():
    of = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["goes_on"]), helper.make_node("Add", ["before", "one"], ["after"])],
        "turn",
        [of("turn", INT64, []), of("go_on", TensorProto.BOOL, []), of("before", FLOAT, [None, 1])],
        [of("goes_on", TensorProto.BOOL, []), of("after", FLOAT, [None, 1])],
        [helper.make_tensor("one", FLOAT, [1], [1.0])],
    )
    nodes = [
        *counted(),
        helper.make_node("Mul", ["turns", "zero"], ["start"]),
        helper.make_node("Loop", ["count", "", "start"], ["value"], body=body),
    ]
    return model(nodes, [helper.make_tensor("zero", FLOAT, [1], [0.0])])


def deaf():
    nodes = [
        *counted(),
        helper.make_node("Add", ["count", "window"], ["length"]),
        helper.make_node("Reshape", ["length", "one_number"], ["lengths"]),
        helper.make_node("Concat", ["ones", "lengths"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["line"]),
        helper.make_node("Conv", ["line", "filter"], ["filtered"]),
        helper.make_node("ReduceMax", ["filtered"], ["largest"], keepdims=0),
        helper.make_node("Add", ["turns", "largest"], ["value"]),
    ]
    weights = [
        helper.make_tensor("window", INT64, [], [20_000]),
        helper.make_tensor("one_number", INT64, [1], [-1]),
        helper.make_tensor("ones", INT64, [2], [1, 1]),
        helper.make_tensor("filter", FLOAT, [1, 1, 20_000], [0.5] * 20_000),
    ]
    return model(nodes, weights)


def huge():
    weight = TensorProto(name="weight", data_type=FLOAT, dims=[2**31, 2**31])
    return model([helper.make_node("Add", ["turns", "weight"], ["value"])], [weight])


def glutton():
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["block"]),
        helper.make_node("ReduceSum", ["block"], ["sum"]),
        helper.make_node("Add", ["turns", "sum"], ["value"]),
    ]
    return model(nodes, [helper.make_tensor("shape", INT64, [2], [2**24, 8])])


def swollen():
    nodes = [
        *counted(),
        helper.make_node("Mul", ["count", "many"], ["rows"]),
        helper.make_node("Reshape", ["rows", "one_number"], ["length"]),
        helper.make_node("Concat", ["length", "eight"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["block"]),
        helper.make_node("ReduceSum", ["block"], ["sum"]),
        helper.make_node("Add", ["turns", "sum"], ["value"]),
    ]
    weights = [
        helper.make_tensor("many", INT64, [], [2**40]),
        helper.make_tensor("one_number", INT64, [1], [-1]),
        helper.make_tensor("eight", INT64, [1], [8]),
    ]
    return model(nodes, weights)


def cubic():
    block = helper.make_tensor_value_info("block", FLOAT, [None, 2, 2])
    return model([helper.make_node("ReduceMax", ["block"], ["value"], axes=[2], keepdims=0)], inputs=[block])


files = {"slow": slow(), "deaf": deaf(), "huge": huge(), "glutton": glutton(), "swollen": swollen(), "cubic": cubic()}
files["truncated"] = files["slow"][: len(files["slow"]) // 2]
for name, content in files.items():
    Path(sys.argv[1], f"{name}.onnx").write_bytes(content)
print(json.dumps({"written": list(files)}))
