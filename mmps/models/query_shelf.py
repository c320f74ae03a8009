"""The queries of a block of pairs, kept as far as memory allows."""

from collections.abc import Callable, Sequence

from torch import Tensor

from .pair_states import QueryState


class QueryShelf:
    """Pictures of queries and what the network has made of them.

    In a block every gallery image meets the same queries in turn. Dropping
    the least recently used one would drop each just before it is needed, so
    what fits the bound stays until other queries come, and what does not fit
    is made again. Pictures, which are small, come before states.

    Args:
        begin: Makes the state of a packed image and a box.
        megabytes: Bound of all that is kept.
    """

    def __init__(
        self,
        begin: Callable[[dict, Tensor], QueryState],
        megabytes: float,
    ) -> None:
        self.begin = begin
        self.limit = megabytes * 2**20
        self.nbytes = 0
        self._items: dict[int, tuple[dict, Tensor]] = {}
        self._states: dict[int, QueryState] = {}
        self._wanted: set[int] = set()

    def fill(self, queries: Sequence[int], pictures) -> None:
        """Read the pictures of the queries that come next.

        Args:
            queries: Numbers of all queries until the next call.
            pictures: See ``Pictures``.
        """
        self._wanted = set(queries)
        known = self._items.keys() | self._states.keys()
        new = [query for query in queries if query not in known]
        for query, item in zip(new, pictures.queries(new), strict=True):
            if not self._keep(self._items, query, item, size_of_item(item)):
                break

    def state(self, query: int, pictures) -> QueryState:
        """What the network has made of a query."""
        if query in self._states:
            return self._states[query]
        item = self._items.get(query)
        if item is None:
            (item,) = pictures.queries([query])
        state = self.begin(*item)
        self._keep(self._states, query, state, state.nbytes)
        return state

    def _keep(self, kept: dict, query: int, value, size: int) -> bool:
        """Keep a value if it fits; others that are not wanted make room."""
        while self.nbytes + size > self.limit and self._drop():
            pass
        if self.nbytes + size > self.limit:
            return False
        kept[query] = value
        self.nbytes += size
        return True

    def _drop(self) -> bool:
        """Drop something that is not wanted; False if there is nothing."""
        for query in self._states:
            if query not in self._wanted:
                self.nbytes -= self._states.pop(query).nbytes
                return True
        for query in self._items:
            if query not in self._wanted:
                self.nbytes -= size_of_item(self._items.pop(query))
                return True
        return False


def size_of_item(item: tuple[dict, Tensor]) -> int:
    """Bytes of a packed image."""
    return item[0]['inputs'].nbytes
