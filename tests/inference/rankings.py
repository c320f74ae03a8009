"""Two rankings of matches, equal but for rounding."""

import numpy as np

#: Largest difference of similarities and of scores, which are at most 1, that
#: the order of sums in float32 explains: about 160 roundings, a whole network
#: deep. Boxes are in pixels of pictures of some 300, so 1e-2 are as many.
ATOL = 2e-5
BOX_ATOL = 1e-2


def assert_same_matches(found, expected, top=None):
    """The first ``top`` of the whole ranking ``expected``.

    Places are compared by similarity. Who stands at a place is compared up to
    ties: each match found is a match expected of a similarity that rounding
    cannot tell from it, and none is used twice.
    """
    assert len(found) == len(expected[:top]) > 0
    ours = [match.similarity for match in found]
    theirs = [match.similarity for match in expected[:top]]
    assert ours == sorted(ours, reverse=True)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=ATOL)
    left = list(expected)
    for match in found:
        twin = next((other for other in left if same(match, other)), None)
        assert twin is not None, f'{match} is not expected'
        left.remove(twin)


def same(one, other):
    """Whether two matches are the same up to rounding, wherever they lie."""
    return (
        one.position == other.position
        and abs(one.similarity - other.similarity) <= ATOL
        and abs(one.score - other.score) <= ATOL
        and np.allclose(one.box, other.box, rtol=0, atol=BOX_ATOL)
    )
