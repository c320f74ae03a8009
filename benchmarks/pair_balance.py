"""How a test of pairs is shared by 8 and 64 processes, by simulation.

At the numbers of queries and images of the real test sets, every pair taking
the same time. Before: groups of 64 queries, each process every n-th of them.
After: units of ``mmps.evaluation.units``, each taken by the process that is
free next; also with one process that is ten times slower. Decodes are those of
gallery images with a network with gates. Prints a Markdown table.

    python benchmarks/pair_balance.py
"""

import argparse
import heapq

import numpy as np

#: Queries of a group (before) and of a block (now).
BLOCK = 64


def test_sets() -> dict[str, dict[int, np.ndarray]]:
    """Name -> query -> images of its gallery.

    PRW: each query in all 6112 frames but its own (PRW-mini: 30 queries).
    CUHK-SYSU: 2900 queries, 100 images each, sampled from the 6978.
    """
    draw = np.random.default_rng(0)

    def frames(number: int) -> dict[int, np.ndarray]:
        own = draw.integers(0, 6112, number)
        return {
            query: np.delete(np.arange(6112), own[query])
            for query in range(number)
        }

    return {
        'PRW-mini': frames(30),
        'PRW regular': frames(2057),
        'CUHK-SYSU G100': {
            query: np.sort(draw.choice(6978, 100, replace=False))
            for query in range(2900)
        },
    }


def shares_of_groups(
    wanted: dict[int, np.ndarray], processes: int
) -> list[int]:
    """Pairs of each process, as before."""
    queries = list(wanted)
    sizes = [
        sum(len(wanted[query]) for query in queries[start : start + BLOCK])
        for start in range(0, len(queries), BLOCK)
    ]
    return [sum(sizes[rank::processes]) for rank in range(processes)]


def shares_of_units(sizes: list[int], speeds: list[float]) -> list[int]:
    """Pairs of each process when the one that is free takes the next unit.

    Args:
        sizes: Pairs of each unit.
        speeds: Pairs in a unit of time, of each process.
    """
    processes, num = len(speeds), len(sizes)
    shares = [0] * processes
    taken = [False] * num
    places = [rank * num // processes for rank in range(processes)]
    free = [(0.0, rank) for rank in range(processes)]
    left = num
    while left:
        moment, rank = heapq.heappop(free)
        while taken[places[rank]]:
            places[rank] = (places[rank] + 1) % num
        unit = places[rank]
        taken[unit] = True
        left -= 1
        shares[rank] += sizes[unit]
        heapq.heappush(free, (moment + sizes[unit] / speeds[rank], rank))
    return shares


def decodes(units: list) -> int:
    """Gallery images that are decoded, each once for a unit."""
    return sum(len(np.unique(unit.images)) for unit in units)


def of_blocks(wanted: dict[int, np.ndarray]) -> int:
    """Images of every block of queries, each once."""
    queries = sorted(wanted)
    return sum(
        len(np.unique(np.concatenate([wanted[q] for q in block])))
        for block in (
            queries[start : start + BLOCK]
            for start in range(0, len(queries), BLOCK)
        )
    )


def span(shares: list[int]) -> str:
    """Least and most."""
    return f'{min(shares):,} to {max(shares):,}'.replace(',', ' ')


def apart(shares: list[int]) -> str:
    """How far the most loaded is above the least."""
    if not min(shares):
        return 'idle ones'
    return f'{100 * (max(shares) / min(shares) - 1):.1f} %'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--processes', type=int, nargs='+', default=[8, 64])
    args = parser.parse_args()
    from mmps.evaluation.units import cut, unit_size

    print(
        '| test | processes | before: pairs of a process | after | apart | '
        'units | one 10 times slower: the others | it |'
    )
    print('| --- ' * 8 + '|')
    notes = []
    for name, wanted in test_sets().items():
        pairs = sum(map(len, wanted.values()))
        units = list(cut(wanted, BLOCK, unit_size(pairs)))
        sizes = [len(unit.queries) for unit in units]
        for processes in args.processes:
            before = shares_of_groups(wanted, processes)
            after = shares_of_units(sizes, [1.0] * processes)
            *others, slow = shares_of_units(
                sizes, [1.0] * (processes - 1) + [0.1]
            )
            print(
                f'| {name} | {processes} | {span(before)} | {span(after)} | '
                f'{apart(after)} | {len(units)} | {span(others)} '
                f'({apart(others)}) | {slow} |'
            )
        notes.append(
            f'{name}: {pairs} pairs, units of {min(sizes)} to {max(sizes)}; '
            f'gallery images decoded before: {pairs}, after: '
            f'{decodes(units)}, {decodes(units) / of_blocks(wanted):.2f} for '
            'each image and block of queries'
        )
    print('\n' + '\n'.join(notes))


if __name__ == '__main__':
    main()
