from typing import Any

import numpy as np


def assert_equal(ours: Any, theirs: Any, where: str = "result") -> None:
    """The same types, dtypes, shapes and values, all the way down."""
    assert type(ours) is type(theirs), where
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), where
        for key in ours:
            assert_equal(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(ours, tuple | list):
        assert len(ours) == len(theirs), where
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_equal(one, other, f"{where}[{number}]")
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), where
        if ours.dtype == object:
            assert_equal(ours.tolist(), theirs.tolist(), where)
        else:
            assert np.array_equal(ours, theirs), where
    else:
        assert ours == theirs, where
