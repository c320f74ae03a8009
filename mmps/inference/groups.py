"""Frames of one person that follow each other in a video are one find.

A person who walks past a camera is in a hundred frames. In a ranking of
single frames these hundred are the first hundred.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from .matches import Match

#: Seconds up to which matches of a video are one find, unless asked otherwise.
GAP = 2.0
#: Where it is not known what a match is: so many matches for each group.
DEEPER = 5


class Group(NamedTuple):
    """Matches of one stretch of a video, or one match in an image.

    Attributes:
        matches: By time, one a frame.
    """

    matches: tuple[Match, ...]

    @property
    def best(self) -> Match:
        """The most similar one, the first among equals."""
        return max(self.matches, key=lambda match: match.similarity)

    @property
    def begin(self) -> float | None:
        """Time of the first match in seconds; None for an image."""
        return self.matches[0].source.timestamp

    @property
    def end(self) -> float | None:
        """Time of the last match in seconds; None for an image."""
        return self.matches[-1].source.timestamp


def group_matches(matches: Sequence[Match], seconds: float) -> list[Group]:
    """Put matches of one video together that follow each other in time.

    The query is one person, who is once in a frame: of each frame the most
    similar match counts, the others are left out. Sorted by time, matches
    are one group as long as the next one is at most ``seconds`` later.
    Matches in images stay alone.

    Args:
        matches: A ranking, or its beginning: what is in no way similar would
            fill the gaps between the appearances of a person.
        seconds: Largest gap within a group.

    Returns:
        By falling similarity of their best matches, equals in the order of
        the ranking.

    Raises:
        ValueError: ``seconds`` is not positive.
    """
    if not seconds > 0:
        raise ValueError(f'groups need a gap above 0 seconds, got {seconds}')
    frames: dict[str, dict[int, Match]] = defaultdict(dict)
    groups = []
    for match in matches:
        path, frame, *_ = match.source
        if frame is None:
            groups.append(Group((match,)))
        else:
            frames[path].setdefault(frame, match)
    for of_video in frames.values():
        groups.extend(
            _chained([of_video[f] for f in sorted(of_video)], seconds)
        )
    rank = {id(match): number for number, match in enumerate(matches)}
    return sorted(groups, key=lambda g: min(rank[id(m)] for m in g.matches))


def best_groups(
    matches: Sequence[Match],
    seconds: float,
    top: int,
    threshold: float | None,
) -> list[Group]:
    """The first groups of a whole ranking.

    Strangers would fill the gaps between two appearances of a person, so a
    frame of a video counts from the threshold on. Where none reaches it, or
    there is no threshold, the first ``DEEPER`` times ``top`` matches count.

    Args:
        matches: All matches, best first.
        seconds: Largest gap within a group.
        top: How many groups.
        threshold: Similarity from which on two people are the same.
    """
    enough = [
        match
        for match in matches
        if threshold is not None and match.similarity >= threshold
    ]
    if any(match.source.frame is not None for match in enough):
        matches = [
            match
            for match in matches
            if match.source.frame is None or match.similarity >= threshold
        ]
    else:
        matches = matches[: DEEPER * top]
    return group_matches(matches, seconds)[:top]


def _chained(matches: list[Match], seconds: float) -> list[Group]:
    """Cut matches of a video, sorted by time, where the gap is too large."""
    chains: list[list[Match]] = []
    for match in matches:
        last = chains[-1][-1].source.timestamp if chains else None
        if last is None or match.source.timestamp - last > seconds:
            chains.append([])
        chains[-1].append(match)
    return [Group(tuple(chain)) for chain in chains]
