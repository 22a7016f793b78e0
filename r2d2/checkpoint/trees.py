"""Turns a nested state (dicts, lists, numbers, arrays, tensors, blobs) into JSON plus raw bytes, and back.

Nothing is pickled, so reading never runs code. Every value is restored with its type, dtype and bits:
integers of any size, nan and infinities, lone surrogates, Fortran order and channels-last layout. Values that
cannot be restored exactly are rejected before anything is written. Tensors are restored on the CPU, without
gradient.
"""

from __future__ import annotations

import ast
import math
import struct
import sys
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint.blobs import Blobs

CHUNK = 16 << 20  # bytes copied at a time where an array is not contiguous; ours: small beside any replay
ALIGNMENT = 64  # bytes; ours: a cache line, so that a memory map of the file is usable as it is
PLAIN_KINDS = "biufcmMSUV"  # numpy kinds whose bytes are the whole value (V: structured)
PLAIN_INT = (
    1 << 53
)  # integers up to this are exact in every JSON reader; larger ones are written in hexadecimal


# Where the bytes of an array, tensor or `bytes` are in arrays.bin: `offset` and `nbytes` in bytes, `crc32` (not in
# checkpoints before version 0.2), and their format: `dtype`, `shape`, `fortran` or `channels_last`.
Place = dict[str, Any]


@dataclass
class Encoded:
    """A tree as JSON and raw bytes."""

    tree: Any = None  # JSON, complete once `content` is exhausted
    arrays: list[tuple[Place, Any]] = field(default_factory=list)
    blobs: dict[str, Blobs] = field(default_factory=dict)
    nbytes: int = 0  # length of arrays.bin in bytes

    def place(self, value: Any, nbytes: int, **what: Any) -> Place:
        """Assigns `value` the next aligned place in arrays.bin."""
        offset = -(-self.nbytes // ALIGNMENT) * ALIGNMENT
        place: Place = {"offset": offset, "nbytes": nbytes, **what}
        self.arrays.append((place, value))
        self.nbytes = offset + nbytes
        return place

    def content(self) -> Iterator[bytes | memoryview]:
        """The bytes of arrays.bin in order; records the checksum of each array in the tree."""
        position = 0
        for place, value in self.arrays:
            yield bytes(place["offset"] - position)
            crc = 0
            for piece in pieces(value):
                crc = zlib.crc32(piece, crc)
                yield piece
            place["crc32"] = crc
            position = place["offset"] + place["nbytes"]


def encode(tree: Mapping[Any, Any]) -> Encoded:
    """Encodes a tree without copying any array.

    Raises TypeError naming the path of the first value that could not be restored exactly.
    """
    encoded = Encoded()
    encoded.tree = _encode(dict(tree), "", encoded)
    return encoded


def _encode(value: Any, path: str, out: Encoded) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -PLAIN_INT <= value <= PLAIN_INT else {"int": hex(value)}
    if kind is float:
        return {"float": struct.pack(">d", value).hex()}
    if kind is str:
        return value if _is_unicode(value) else {"str": value.encode("utf-32-le", "surrogatepass").hex()}
    if kind is bytes:
        return {"bytes": out.place(value, len(value))}
    if kind is list:
        return [_encode(v, f"{path}/{i}", out) for i, v in enumerate(value)]
    if kind is tuple:
        return {"tuple": [_encode(v, f"{path}/{i}", out) for i, v in enumerate(value)]}
    if kind is dict or kind is OrderedDict:
        name = "dict" if kind is dict else "ordered"
        return {name: [[_encode_key(k, path), _encode(v, f"{path}/{k}", out)] for k, v in value.items()]}
    if kind is Blobs:
        if path in out.blobs:
            raise TypeError(f"two Blobs have the same path {path}: rename a key that contains '/'")
        out.blobs[path] = value
        return {"blobs": path}
    return _encode_array(value, path, out)


def _encode_key(key: Any, path: str) -> Any:
    inner = Encoded()
    coded = _encode(key, f"{path}/{key!r}", inner)
    if inner.arrays or inner.blobs or type(key) not in (str, int, float, bool, type(None), tuple):
        raise TypeError(f"key {key!r} at {path or '/'} must be str, int, float, bool, None or a tuple")
    return coded


def _encode_array(value: Any, path: str, out: Encoded) -> Any:
    if type(value) is np.ndarray:
        dtype, shape = _dtype_text(value.dtype, path), list(value.shape)
        return {"array": out.place(value, value.nbytes, dtype=dtype, shape=shape, fortran=_is_fortran(value))}
    if isinstance(value, np.generic):
        return {"scalar": {"dtype": _dtype_text(value.dtype, path), "hex": value.tobytes().hex()}}
    torch: Any = sys.modules.get("torch")  # a value can only be a tensor if torch has been imported
    is_tensor = torch is not None and type(value) is torch.Tensor
    if is_tensor and value.layout is torch.strided and not value.is_quantized:
        dtype, shape = str(value.dtype).removeprefix("torch."), list(value.shape)
        size, last = value.numel() * value.element_size(), _is_channels_last(value)
        return {"tensor": out.place(value, size, dtype=dtype, shape=shape, channels_last=last)}
    raise TypeError(
        f"{path or '/'} is a {type(value).__module__}.{type(value).__qualname__}, which would not come back "
        "exactly: use dicts, lists, tuples, numbers, str, bytes, numpy arrays, plain tensors and Blobs"
    )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_fortran(array: NDArray[Any]) -> bool:
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def _is_channels_last(tensor: Any) -> bool:
    import torch

    if tensor.dim() != 4 or tensor.is_contiguous():
        return False
    return bool(tensor.is_contiguous(memory_format=torch.channels_last))


def _dtype_text(dtype: np.dtype[Any], path: str) -> str:
    if dtype.hasobject or dtype.kind not in PLAIN_KINDS or dtype.isbuiltin == 2:
        raise TypeError(
            f"{path or '/'} has dtype {dtype}, whose bytes are not its value: use a numeric dtype"
        )
    return repr(np.lib.format.dtype_to_descr(dtype))


def pieces(value: Any) -> Iterator[memoryview]:
    """Yields the bytes of an array, tensor or bytes in order, copying at most about CHUNK bytes at a time."""
    if isinstance(value, bytes):
        yield memoryview(value)
        return
    if not isinstance(value, np.ndarray):
        value = _tensor_bytes(value)
    if _is_fortran(value):
        value = value.T
    if value.nbytes == 0:
        return
    if value.flags.c_contiguous:
        yield value.reshape(-1).view(np.uint8).data
        return
    rows = max(1, CHUNK * len(value) // value.nbytes)
    for start in range(0, len(value), rows):
        part = np.ascontiguousarray(value[start : start + rows])
        yield part.reshape(-1).view(np.uint8).data


def _tensor_bytes(tensor: Any) -> NDArray[np.uint8]:
    import torch

    if _is_channels_last(tensor):
        tensor = tensor.permute(0, 2, 3, 1)
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    array: NDArray[np.uint8] = plain.reshape(-1).view(torch.uint8).numpy()
    return array


Read = Callable[[Place], NDArray[np.uint8]]  # the bytes at a place


def subtree(tree: Any, path: str) -> Any:
    """The part of an encoded tree at a path of keys, as "learner/network"; KeyError if there is none."""
    for key in path.split("/"):
        kind, value = next(iter(tree.items()), ("", [])) if isinstance(tree, dict) else ("", [])
        found = dict(value) if kind in ("dict", "ordered") else {}
        if key not in found:
            raise KeyError(path)
        tree = found[key]
    return tree


def decode(tree: Any, read: Read, blobs: Mapping[str, Blobs]) -> Any:
    """Rebuilds a tree; `read` is called once per array, with increasing offsets.

    May raise any exception for a tree that `encode` did not make.
    """
    if isinstance(tree, list):
        return [decode(v, read, blobs) for v in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    match kind:
        case "int":
            return int(value, 16)
        case "float":
            return struct.unpack(">d", bytes.fromhex(value))[0]
        case "str":
            return bytes.fromhex(value).decode("utf-32-le", "surrogatepass")
        case "tuple":
            return tuple(decode(v, read, blobs) for v in value)
        case "dict" | "ordered":
            mapping: dict[Any, Any] = {} if kind == "dict" else OrderedDict()
            mapping.update((decode(k, read, blobs), decode(v, read, blobs)) for k, v in value)
            return mapping
        case "blobs":
            return blobs[value]
        case "scalar":
            return _decode_scalar(value)
        case "bytes" | "array" | "tensor":
            return _decode_bytes(kind, value, read)
    raise ValueError(f"unknown kind of value {kind!r}")


def _dtype(text: str) -> np.dtype[Any]:
    dtype = np.lib.format.descr_to_dtype(ast.literal_eval(text))
    if dtype.hasobject or dtype.kind not in PLAIN_KINDS:
        raise ValueError(f"unknown dtype {text!r}")
    return dtype


def _decode_scalar(spec: dict[str, Any]) -> Any:
    cell = np.zeros((), _dtype(spec["dtype"]))
    raw = bytes.fromhex(spec["hex"])
    if raw:
        cell.reshape(1).view(np.uint8)[:] = np.frombuffer(raw, np.uint8)
    return cell[()]


def _decode_bytes(kind: str, spec: Place, read: Read) -> Any:
    raw = read(spec)
    if kind == "bytes":
        return raw.tobytes()
    shape = spec["shape"]
    if kind == "array":
        kind_of = _dtype(spec["dtype"])
        _check_size(spec, kind_of.itemsize)
        if not raw.nbytes:
            return np.zeros(shape, kind_of)
        array = raw.view(kind_of)
        return array.reshape(shape[::-1]).T if spec["fortran"] else array.reshape(shape)
    import torch

    dtype = getattr(torch, spec["dtype"], None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"unknown dtype {spec['dtype']!r}")
    _check_size(spec, dtype.itemsize)
    if not raw.nbytes:
        return torch.empty(shape, dtype=dtype)
    tensor = torch.from_numpy(raw).view(dtype)
    if spec["channels_last"]:
        n, c, h, w = shape
        return tensor.reshape(n, h, w, c).permute(0, 3, 1, 2)
    return tensor.reshape(shape)


def _check_size(spec: Place, itemsize: int) -> None:
    """Raise ValueError for a wrong size, before anything of the shape is allocated."""
    if math.prod(spec["shape"]) * itemsize != spec["nbytes"] or min(spec["shape"], default=0) < 0:
        raise ValueError(f"shape {spec['shape']} of {spec['dtype']} does not take {spec['nbytes']} bytes")
