"""What is kept of images between the pairs of a test."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Protocol


class Sized(Protocol):
    """Something that knows how much memory it takes."""

    @property
    def nbytes(self) -> int: ...


class BoundedCache:
    """The most recently used states, within a bound of memory.

    Args:
        megabytes: Bound; at least one state is kept whatever its size.
    """

    def __init__(self, megabytes: float) -> None:
        self.limit = megabytes * 2**20
        #: The most that was kept from one batch to the next, in bytes.
        self.peak = 0
        self._states: OrderedDict[Hashable, Sized] = OrderedDict()

    def get(self, key: Hashable) -> Sized | None:
        """Return a state and mark it as used."""
        if key in self._states:
            self._states.move_to_end(key)
        return self._states.get(key)

    def put(self, key: Hashable, state: Sized) -> None:
        """Keep a state."""
        self._states[key] = state
        self._states.move_to_end(key)

    def shrink(self) -> None:
        """Drop the least recently used states; they grow while in use."""
        total = self.nbytes
        while total > self.limit and len(self._states) > 1:
            _, dropped = self._states.popitem(last=False)
            total -= dropped.nbytes
        self.peak = max(self.peak, total)

    @property
    def nbytes(self) -> int:
        """Memory of all states."""
        return sum(state.nbytes for state in self._states.values())
