"""Pairwise search scores: by hand, and against the slow reference."""

import numpy as np
import pytest

from mmps.evaluation.galleries import DUPLICATES
from mmps.evaluation.pairs import (
    PairFindings,
    images_to_search,
    only,
    score_pairs,
)
from mmps.evaluation.scoring import pair_figures
from mmps.evaluation.search import on_grid, score_search
from mmps.structures import Gallery, Protocol
from tests.evaluation import reference
from tests.evaluation.random_sets import (
    SCORES,
    random_boxes,
    random_features,
    shaken,
)

PERSON = np.array([0, 0, 40, 80.0])
FIGURES = ('average_precision', 'rank', 'num_gt', 'num_found')


def findings_of(images, parts) -> PairFindings:
    """From one (bboxes, scores, similarity) for each image."""
    columns = list(zip(*parts, strict=True)) or [(), (), ()]
    bboxes, scores, similarity = (
        np.concatenate([np.zeros(shape), *column]).astype(np.float32)
        for shape, column in zip([(0, 4), 0, 0], columns, strict=True)
    )
    counts = np.array([len(part[0]) for part in parts], np.int64)
    return PairFindings(
        np.asarray(images, np.int64), counts, bboxes, scores, similarity
    )


def random_findings(rng, features, ties: bool) -> tuple[dict, dict]:
    """Other boxes for each query; and the same as query -> image -> boxes."""
    num_images = len(features.image_names)
    wanted = images_to_search(features.protocols, num_images)
    findings, by_image = {}, {}
    for query, images in wanted.items():
        images = rng.permutation(images)
        parts = []
        for image in images:
            people = features.ground_truth.bboxes[
                features.ground_truth.of(image)
            ]
            bboxes = np.concatenate(
                [shaken(rng, people), people, random_boxes(rng, 1)]
            )
            bboxes = bboxes[rng.random(len(bboxes)) < rng.choice([0, 0.6, 1])]
            steps = 4 if ties else 2**20
            similarity = rng.integers(-steps, steps, len(bboxes)) / steps
            scores = rng.choice(SCORES, len(bboxes))
            parts.append((bboxes, scores, similarity))
        findings[query] = findings_of(images, parts)
        by_image[query] = [(np.zeros((0, 4)), [], [])] * num_images
        for image, part in zip(images, parts, strict=True):
            by_image[query][image] = part
    return findings, by_image


def slow_figures(features, by_image, duplicates: str, cws: bool) -> dict:
    """All figures, in plain loops."""
    num_images = len(features.image_names)
    result = {}
    for name, protocol in features.protocols.items():
        lines = []
        for query, gallery in zip(
            protocol.queries, protocol.galleries, strict=True
        ):
            images = by_image[int(query)]
            similar = [
                [float(s) for s in similarity] for _, _, similarity in images
            ]
            if cws:
                similar = [
                    [a * float(b) for a, b in zip(line, scores, strict=True)]
                    for line, (_, scores, _) in zip(
                        similar, images, strict=True
                    )
                ]
            entries = reference.entries(gallery, num_images)
            lines.append(
                reference.score_query(images, entries, similar, duplicates)
            )
        for key, value in reference.summary(lines).items():
            result[f'{name}{"+cws" * cws}/{key}'] = value
    return result


def assert_same(got: dict, expected: dict) -> None:
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        assert got[key] == pytest.approx(value, abs=1e-9, nan_ok=True), key


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('duplicates', DUPLICATES)
def test_equals_the_protocol_in_plain_loops(duplicates, ties):
    """25 random sets of galleries; boxes differ from query to query."""
    seen = set()
    for seed in range(25):
        rng = np.random.default_rng(1000 + seed)
        features = random_features(seed)
        findings, by_image = random_findings(rng, features, ties)
        got = pair_figures(
            findings,
            features.protocols,
            len(features.image_names),
            duplicates=duplicates,
            cws=True,
        )
        expected = {
            key: value
            for cws in (False, True)
            for key, value in slow_figures(
                features, by_image, duplicates, cws
            ).items()
        }
        assert_same(got, expected)
        for protocol in features.protocols.values():
            seen.update(kinds_of(protocol, features, findings))
    assert seen == {
        *('complement', 'image twice', 'no positive', 'nobody asked'),
        *('image without a box', 'query asked twice'),
    }


def kinds_of(protocol, features, findings) -> set:
    """Which of the odd cases a protocol has."""
    galleries = protocol.galleries
    queries = protocol.queries.tolist()
    found = {
        'complement': any(g.complement for g in galleries),
        'image twice': any(
            not g.complement and len(set(g.images.tolist())) < len(g.images)
            for g in galleries
        ),
        'no positive': any(not len(g.positives) for g in galleries),
        'nobody asked': not queries,
        'query asked twice': len(set(queries)) < len(queries),
        'image without a box': any(
            (findings[query].counts == 0).any() for query in queries
        ),
    }
    return {kind for kind, is_there in found.items() if is_there}


@pytest.mark.parametrize('cws', [False, True])
@pytest.mark.parametrize('duplicates', DUPLICATES)
def test_cosines_of_the_same_boxes_score_as_a_plain_search(duplicates, cws):
    for seed in range(30):
        features = random_features(seed, ties=seed % 2 == 0)
        boxes = features.detections.above(0.5)
        num_images = len(features.image_names)
        findings = {}
        for query, images in images_to_search(
            features.protocols, num_images
        ).items():
            cosines = on_grid(boxes.embeddings) @ on_grid(
                features.query_embeddings[query]
            )
            rows = [boxes.of(image) for image in images]
            plain = findings_of(
                images,
                [(boxes.bboxes[r], boxes.scores[r], cosines[r]) for r in rows],
            )
            findings[query] = PairFindings(
                plain.images,
                plain.counts,
                plain.bboxes,
                plain.scores,
                np.concatenate([np.zeros(0), *(cosines[r] for r in rows)]),
            )
        how = {'duplicates': duplicates, 'cws': cws}
        got = score_pairs(findings, features.protocols, num_images, **how)
        expected = score_search(
            boxes, features.query_embeddings, features.protocols, **how
        )
        assert got.keys() == expected.keys()
        for name, score in expected.items():
            for figure in FIGURES:
                np.testing.assert_allclose(
                    getattr(got[name], figure),
                    getattr(score, figure),
                    atol=1e-7,
                    err_msg=f'seed {seed}, {name}, {figure}',
                )


def test_a_protocol_without_queries_scores_nothing():
    protocols = {'none': Protocol(np.zeros(0, np.int64), ())}
    figures = pair_figures({}, protocols, 3)
    assert figures['none/queries'] == figures['none/gt'] == 0
    assert np.isnan(figures['none/mAP'])


def gallery(images, positives=(), complement=False) -> Gallery:
    return Gallery(
        np.array(images, np.int32),
        np.array(positives, np.int32),
        np.tile(PERSON, (len(positives), 1)),
        complement,
    )


def protocol(**galleries) -> Protocol:
    """q<number>=gallery."""
    return Protocol(
        np.array([int(name[1:]) for name in galleries]),
        tuple(galleries.values()),
    )


def test_two_queries_rank_their_own_boxes():
    # the same gallery; query 4 finds the person first, query 7 second
    where = gallery([2, 0], positives=[2])
    away = PERSON + 500
    ones = np.ones(1)
    findings = {
        4: findings_of(
            [0, 2], [([away], ones, [0.3]), ([PERSON], ones, [0.4])]
        ),
        7: findings_of(
            [0, 2], [([away], ones, [0.9]), ([PERSON], ones, [0.4])]
        ),
    }
    scores = score_pairs(findings, {'P': protocol(q7=where, q4=where)}, 3)
    assert scores['P'].rank.tolist() == [2, 1]


# --- which images


def test_images_to_search_are_the_union_of_all_galleries():
    protocols = {
        'first': protocol(q5=gallery([3, 1, 3]), q2=gallery([])),
        'second': protocol(
            q5=gallery([4, 1]), q0=gallery([0, 2], complement=True)
        ),
    }
    wanted = images_to_search(protocols, 6)
    assert list(wanted) == [0, 2, 5]
    assert {query: images.tolist() for query, images in wanted.items()} == {
        0: [1, 3, 4, 5],
        2: [],
        5: [1, 3, 4],
    }
    assert images_to_search({}, 6) == {}


def test_an_image_beyond_the_test_set_is_named():
    protocols = {'P': protocol(q1=gallery([2, 6]))}
    with pytest.raises(ValueError, match=r"protocol 'P'.*image 6 of 6"):
        images_to_search(protocols, 6)


def test_only_keeps_queries_with_their_galleries_in_order():
    galleries = [gallery([i]) for i in range(4)]
    whole = Protocol(np.array([8, 3, 8, 1]), tuple(galleries))
    part = only(whole, {8, 1})
    assert part.queries.tolist() == [8, 8, 1]
    assert part.galleries == (galleries[0], galleries[2], galleries[3])
    assert only(whole, {}).galleries == ()
    assert len(whole.queries) == 4


@pytest.mark.parametrize(
    ('run', 'name', 'count', 'first'),
    [
        ([4], 'hard', 2, 1),
        ([4, 1], 'hard', 1, 3),
        ([], 'easy', 1, 4),
        (None, 'easy', 1, 4),
    ],
)
def test_an_image_that_was_not_run_is_named(run, name, count, first):
    protocols = {
        'easy': protocol(q6=gallery([4])),
        'hard': protocol(q6=gallery([4, 3, 1])),
    }
    nothing = (np.zeros((0, 4)), [], [])
    whole = {6: findings_of([1, 3, 4], [nothing] * 3)}
    assert score_pairs(whole, protocols, 5)['hard'].num_found.tolist() == [0]
    part = {}
    if run is not None:
        part[6] = findings_of(run, [nothing] * len(run))
    message = (
        f"protocol '{name}': query 6 was not run on {count} images of its "
        f'gallery, the first is image {first}$'
    )
    with pytest.raises(ValueError, match=message):
        score_pairs(part, protocols, 5)


# --- the layout


def test_boxes_lie_image_after_image_whatever_order_they_came_in():
    found = findings_of(
        [3, 0, 2],
        [
            (np.full((2, 4), 3), [0.5, 0.75], [3.25, 3.5]),
            (np.zeros((0, 4)), [], []),
            (np.full((1, 4), 2), [0.25], [2.5]),
        ],
    )
    boxes = found.boxes(5)
    assert boxes.offsets.tolist() == [0, 0, 0, 1, 3, 3]
    assert boxes.bboxes[:, 0].tolist() == [2, 3, 3]
    assert boxes.scores.tolist() == [0.25, 0.5, 0.75]
    assert boxes.embeddings.dtype == np.float64
    assert boxes.embeddings.tolist() == [[2.5], [3.25], [3.5]]


def test_no_image_makes_no_box():
    boxes = findings_of([], []).boxes(2)
    assert boxes.offsets.tolist() == [0, 0, 0]
    assert boxes.bboxes.shape == (0, 4)
    assert boxes.embeddings.shape == (0, 1)
