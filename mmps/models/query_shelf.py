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
            pictures: Reads the pictures of queries by their numbers
                (``pair_search.Pictures``).
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
        """Keep a value if it fits, after dropping what matters less."""
        while self.nbytes + size > self.limit and self._drop(
            all_states=kept is self._items
        ):
            pass
        if self.nbytes + size > self.limit:
            return False
        kept[query] = value
        self.nbytes += size
        return True

    def _drop(self, all_states: bool) -> bool:
        """Drop something; False if there is nothing that may go.

        What is not wanted goes first, then, for a picture, any state.
        """
        for kept, size in (
            (self._states, lambda state: state.nbytes),
            (self._items, size_of_item),
        ):
            for query in kept:
                if query not in self._wanted:
                    self.nbytes -= size(kept.pop(query))
                    return True
        if all_states and self._states:
            _, state = self._states.popitem()
            self.nbytes -= state.nbytes
            return True
        return False


def size_of_item(item: tuple[dict, Tensor]) -> int:
    """Bytes of a packed image."""
    return item[0]['inputs'].nbytes
