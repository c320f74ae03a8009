"""Load things in threads before they are needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar('Key')
Value = TypeVar('Value')


def load_ahead(
    load: Callable[[Key], Value],
    keys: Iterable[Key],
    pool: ThreadPoolExecutor | None,
    depth: int,
) -> Iterator[Value]:
    """What ``load`` returns for each key, in their order.

    Args:
        load: Safe to call in several threads.
        keys: What to load.
        pool: Threads that load; without one, things are loaded when needed.
        depth: How many are loaded or being loaded before they are needed.
    """
    if pool is None:
        yield from map(load, keys)
        return
    keys, futures = iter(keys), deque()
    try:
        for key in keys:
            futures.append(pool.submit(load, key))
            if len(futures) > depth:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        for future in futures:
            future.cancel()
