"""Names and shapes out of torch pickles, by disassembly.

A pickle is a program for a small stack machine that can import and call anything. Here it is only ever disassembled
(:func:`pickletools.genops`) and followed symbolically: a ``GLOBAL`` becomes its name, a call of torch's tensor builders
becomes a :class:`PickledTensor`, every other call becomes an opaque value. Nothing is imported and nothing is called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import DIMENSION_LIMIT, TENSOR_LIMIT, HeaderError

_OPCODE_LIMIT = 5_000_000
_NESTING_LIMIT = 64
_GLOBAL_LIMIT = 1000

#: Element types by torch storage class (``torch.storage``).
STORAGES: dict[str, TensorType | None] = {
    "torch.FloatStorage": TensorType.F32,
    "torch.DoubleStorage": TensorType.F64,
    "torch.HalfStorage": TensorType.F16,
    "torch.BFloat16Storage": TensorType.BF16,
    "torch.IntStorage": TensorType.I32,
    "torch.LongStorage": TensorType.I64,
    "torch.ShortStorage": TensorType.I16,
    "torch.CharStorage": TensorType.I8,
    "torch.ByteStorage": TensorType.U8,
    "torch.BoolStorage": TensorType.BOOL,
}
_TENSOR_BUILDERS = {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"}
_PARAMETER_BUILDERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}
#: Stands for a reference whose name only running the pickle could tell.
COMPUTED = "a name made while loading"
_ORDERED_DICT = "collections.OrderedDict"


@dataclass(frozen=True, slots=True)
class Global:
    """A ``module.name`` that the pickle refers to."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A block of values: its key in the archive, element type (None: unknown class) and length in elements."""

    key: str
    type: TensorType | None
    raw_type: str
    elements: int


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """A tensor over a storage; ``offset`` in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    contiguous: bool


@dataclass(slots=True)
class Disassembly:
    """What one pickle holds: named tensors in order (nested dictionaries flattened, as the library does) and its
    globals.
    """

    tensors: list[tuple[str, PickledTensor]] = field(default_factory=list)
    globals: list[str] = field(default_factory=list)
    root: object = None


class _Opaque:
    """A value of no interest, or one that only running the pickle could give."""


_MARK, _OPAQUE = object(), _Opaque()


def disassemble(stream: IO[bytes]) -> Disassembly:
    """Follow one pickle from the stream's position to its STOP opcode.

    Raises :class:`HeaderError` for a broken pickle or one that is larger than any real state dictionary.
    """
    machine = _Machine()
    try:
        for name, argument in _operations(stream):
            if machine.step(name, argument):
                break
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise HeaderError(f"the pickle is broken: {error}") from error
    result = machine.result
    result.root = machine.stack[-1] if machine.stack else None
    _collect(result.root, result.tensors, 0)
    return result


def _operations(stream: IO[bytes]) -> Iterator[tuple[str, object]]:
    for count, (opcode, argument, _position) in enumerate(pickletools.genops(stream)):
        if count > _OPCODE_LIMIT:
            raise HeaderError("the pickle is longer than any state dictionary")
        yield opcode.name, argument


def _collect(value: object, into: list[tuple[str, PickledTensor]], depth: int) -> None:
    if not isinstance(value, dict) or depth > _NESTING_LIMIT:
        return
    for key, item in value.items():
        if isinstance(item, PickledTensor) and isinstance(key, str):
            if len(into) >= TENSOR_LIMIT:
                raise HeaderError(f"holds more than {TENSOR_LIMIT} tensors")
            into.append((key, item))
        elif isinstance(item, dict):
            _collect(item, into, depth + 1)


class _Machine:
    """The symbolic stack machine: one method per group of opcodes, found by the opcode's name."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self.result = Disassembly()

    def step(self, name: str, argument: object) -> bool:
        """Carry out one opcode; True at the end."""
        if name == "STOP":
            return True
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, argument)
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name not in _NO_EFFECT:
            # What is left pushes a constant: integers, floats, strings, bytes.
            self.stack.append(argument)
        return False

    def pop(self, _: object) -> None:
        self.stack.pop()

    def mark(self, _: object) -> None:
        self.stack.append(_MARK)

    def pop_mark(self, _: object) -> list[object]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise IndexError("an opcode without its mark")

    def duplicate(self, _: object) -> None:
        self.stack.append(self.stack[-1])

    def memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def put(self, argument: object) -> None:
        self.memo[_whole(argument)] = self.stack[-1]

    def get(self, argument: object) -> None:
        self.stack.append(self.memo[_whole(argument)])

    def tuple_of(self, size: int) -> None:
        if len(self.stack) < size:
            raise IndexError("tuple of missing items")
        self.stack[-size:] = [tuple(self.stack[-size:])]

    def tuple_marked(self, _: object) -> None:
        self.stack.append(tuple(self.pop_mark(None)))

    def list_marked(self, _: object) -> None:
        self.stack.append(self.pop_mark(None))

    def dict_marked(self, _: object) -> None:
        self.stack.append(_pairs(self.pop_mark(None)))

    def set_item(self, _: object) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def set_items(self, _: object) -> None:
        self._update(self.pop_mark(None))

    def append(self, _: object) -> None:
        value = self.stack.pop()
        self._extend([value])

    def extend(self, _: object) -> None:
        self._extend(self.pop_mark(None))

    def persistent(self, _: object) -> None:
        self.stack.append(_storage(self.stack.pop()))

    def opaque(self, _: object) -> None:
        self.stack.append(_OPAQUE)

    def reduce(self, _: object) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_call(called, arguments))

    def new_with_keywords(self, _: object) -> None:
        del self.stack[-3:]
        self.stack.append(_OPAQUE)

    def instance(self, argument: object) -> None:
        self.push_global(argument)
        called = self.stack.pop()
        self.stack.append(_call(called, tuple(self.pop_mark(None))))

    def object_marked(self, _: object) -> None:
        called, *arguments = self.pop_mark(None)
        self.stack.append(_call(called, tuple(arguments)))

    def push_global(self, argument: object) -> None:
        self._refer(str(argument).replace(" ", ".", 1))

    def stack_global(self, _: object) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        is_plain = isinstance(attribute, str) and isinstance(module, str)
        self._refer(f"{module}.{attribute}" if is_plain else COMPUTED)

    def extension(self, argument: object) -> None:
        self._refer(f"copyreg.extension_{argument}")

    def _refer(self, name: str) -> None:
        if name not in self.result.globals and len(self.result.globals) < _GLOBAL_LIMIT:
            self.result.globals.append(name[:500])
        self.stack.append(Global(name))

    def _update(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update(_pairs(items))

    def _extend(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)


_NO_EFFECT = frozenset({"PROTO", "FRAME", "READONLY_BUFFER"})
_EMPTY: dict[str, Callable[[], object]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}
_HANDLERS: dict[str, Callable[[_Machine, object], object]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    "MEMOIZE": _Machine.memoize,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "TUPLE": _Machine.tuple_marked,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "LIST": _Machine.list_marked,
    "FROZENSET": _Machine.list_marked,
    "DICT": _Machine.dict_marked,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "ADDITEMS": _Machine.extend,
    "BUILD": _Machine.pop,
    "BINPERSID": _Machine.persistent,
    "PERSID": _Machine.opaque,
    "NEXT_BUFFER": _Machine.opaque,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "OBJ": _Machine.object_marked,
    "INST": _Machine.instance,
    "GLOBAL": _Machine.push_global,
    "STACK_GLOBAL": _Machine.stack_global,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _Machine.extension),
}


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a memo index that is no number")
    return value


def _pairs(items: list[object]) -> dict[object, object]:
    pairs = zip(items[::2], items[1::2], strict=False)
    return {key: value for key, value in pairs if isinstance(key, str | int | None)}


def _storage(persistent_id: object) -> object:
    match persistent_id:
        case ("storage", Global(name), str() | int() as key, _, int() as elements, *_) if elements >= 0:
            return Storage(str(key), STORAGES.get(name), name, elements)
    return _OPAQUE


def _call(called: object, arguments: object) -> object:
    if not isinstance(called, Global) or not isinstance(arguments, tuple):
        return _OPAQUE
    if called.name == _ORDERED_DICT:
        return {}
    if called.name in _PARAMETER_BUILDERS and arguments and isinstance(arguments[0], PickledTensor):
        return arguments[0]
    if called.name in _TENSOR_BUILDERS:
        match arguments:
            case (Storage() as storage, int() as offset, tuple() as shape, tuple() as stride, *_) if offset >= 0:
                return _tensor(storage, offset, shape, stride)
    return _OPAQUE


def _tensor(storage: Storage, offset: int, shape: tuple[object, ...], stride: tuple[object, ...]) -> PickledTensor:
    sizes = tuple(size for size in shape if isinstance(size, int) and not isinstance(size, bool) and size >= 0)
    if len(sizes) != len(shape) or len(shape) > DIMENSION_LIMIT or len(stride) != len(shape):
        raise ValueError(f"a tensor has the impossible shape {shape!r}"[:200])
    expected, contiguous = 1, True
    for size, step in zip(reversed(sizes), reversed(stride), strict=True):
        contiguous &= step == expected
        expected *= size
    return PickledTensor(storage, offset, sizes, contiguous or expected == 0)
