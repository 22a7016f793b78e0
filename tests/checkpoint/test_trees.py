"""Laws of `r2d2.checkpoint.trees`, seen through a checkpoint: everything comes back exactly, or is refused."""

from __future__ import annotations

import errno
import math
import shutil
import signal
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_cases import run_python, same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from r2d2.checkpoint.checkpoint import load, save

arrays = hnp.arrays(
    st.one_of(
        hnp.scalar_dtypes(),
        hnp.unicode_string_dtypes(max_len=3),
        hnp.byte_string_dtypes(max_len=3),
        hnp.array_dtypes(hnp.integer_dtypes(), allow_subarrays=False),
    ),
    hnp.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4),
)
KINDS = [
    torch.bfloat16,
    torch.float16,
    torch.float32,
    torch.float64,
    torch.int64,
    torch.bool,
    torch.complex64,
]
tensors = st.builds(
    lambda shape, dtype: (torch.arange(math.prod(shape)) % 3).reshape(shape).to(dtype),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from([*KINDS, torch.uint16, torch.float8_e4m3fn]),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 200), 1 << 200),
    st.floats(),
    st.text(st.characters(exclude_categories=[]), max_size=5),
    st.binary(max_size=9),
    hnp.arrays(hnp.scalar_dtypes(), ()).map(lambda array: array[()]),
)
keys = st.one_of(st.text(max_size=4), st.integers(), st.tuples(st.integers(), st.text(max_size=2)), st.none())
trees = st.recursive(
    st.one_of(scalars, arrays, tensors),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(OrderedDict),
    ),
    max_leaves=8,
)


@given(tree=st.dictionaries(keys, trees, max_size=4))
@settings(max_examples=80, deadline=None)
def test_every_tree_comes_back_with_its_types_dtypes_and_bits(
    tree: dict[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("root")
    save(root, tree, number=0)
    assert same(load(root), tree)
    shutil.rmtree(root)


@pytest.mark.parametrize(
    "value",
    [
        np.random.PCG64(3).state,
        {"x": float("nan"), "y": -0.0, "z": -float("inf"), "tiny": 5e-324, "big": 10**5000},
        "\ud800\udc00 is two lone surrogates, not one letter",
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(1000).reshape(10, 100)[::3, ::-7],
        np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", ">f8")]),
        np.arange(4, dtype=">u2"),
        np.datetime64("2020-02-02T02:02"),
        torch.tensor(float("nan"), dtype=torch.bfloat16),
        torch.arange(120.0).reshape(2, 3, 4, 5).to(memory_format=torch.channels_last),
        {0: {"step": torch.tensor(3.0)}, "param_groups": [{"betas": (0.9, 0.999), "foreach": None}]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_hard_values_come_back(value: Any, tmp_path: Path) -> None:
    save(tmp_path, {"value": value}, number=0)
    assert same(load(tmp_path), {"value": value})


def test_a_fortran_array_keeps_its_order_and_a_strided_one_is_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "r2d2.checkpoint.trees.CHUNK", 64
    )  # so that the strided array is copied a few rows at a time
    array = np.arange(999.0).reshape(111, 9)
    save(tmp_path, {"f": array.T, "strided": array[::2, ::2]}, number=0)
    tree = load(tmp_path)
    assert tree["f"].flags.f_contiguous
    assert not tree["f"].flags.c_contiguous
    assert same(tree["strided"], np.ascontiguousarray(array[::2, ::2]))


@pytest.mark.parametrize(
    "value",
    [{1, 2}, np.array([None]), torch.nn.Parameter(torch.ones(1)), errno, np.ma.zeros(2), signal.SIGTERM, 1j],
    ids=repr,
)
def test_what_would_not_come_back_is_refused_by_path_before_anything_is_written(
    value: Any, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match="/learner/1"):
        save(tmp_path, {"learner": [0, value]}, number=0)
    assert not list(tmp_path.iterdir())


def test_a_big_array_is_not_held_twice(tmp_path: Path) -> None:
    script = """if True:
        import resource, sys, numpy as np
        from pathlib import Path
        from r2d2.checkpoint.checkpoint import load, save
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB
        array = np.ones(1 << 24)  # 128 MiB
        before = peak()
        save(Path(sys.argv[1]), {"a": array, "t": array.T[::2]}, number=0)
        saved = peak()
        del array
        load(Path(sys.argv[1]))
        print(saved - before, peak() - saved)
    """
    used = run_python(script, str(tmp_path)).stdout.split()
    assert float(used[0]) < 64, used
    assert float(used[1]) < 100, used  # the tree itself is 192 MiB, 128 were freed
