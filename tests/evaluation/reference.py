"""The protocol written a second time: plain loops, one idea per line.

Slow on purpose and shares no arithmetic with the package: similarities are
sums of Python integers, IoU is four comparisons, average precision is
scikit-learn's, matchings are found by trying all. Only ``Features`` and the
types of its parts are taken from the package.
"""

import itertools
import math
from collections.abc import Callable

from sklearn.metrics import average_precision_score

GRID = 2**26


def integers(embeddings) -> list[list[int]]:
    """Multiples of 2**-26, as Python integers, nearest and half to even."""
    return [[round(float(x) * GRID) for x in row] for row in embeddings]


def exact_dot(rows, vector) -> list[float]:
    """Similarity of each row: integers cannot round."""
    (query,) = integers([vector])
    return [
        sum(a * b for a, b in zip(row, query, strict=True)) / GRID**2
        for row in integers(rows)
    ]


def iou(a, b) -> float:
    a, b = [float(x) for x in a], [float(x) for x in b]
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inter = width * height
    area_a = (a[2] - a[0]) * (a[3] - a[1])
    area_b = (b[2] - b[0]) * (b[3] - b[1])
    return inter / (area_a + area_b - inter)


def per_image(boxes, threshold: float) -> list[tuple]:
    """One (bboxes, scores, embeddings) for each image, cut by score."""
    images = []
    for i in range(len(boxes.offsets) - 1):
        part = range(boxes.offsets[i], boxes.offsets[i + 1])
        keep = [r for r in part if boxes.scores[r] >= threshold]
        images.append(
            (boxes.bboxes[keep], boxes.scores[keep], boxes.embeddings[keep])
        )
    return images


def entries(gallery, num_images: int) -> list[tuple]:
    """(image, box or None) for each line of the gallery."""
    left = {}
    for image, bbox in zip(gallery.positives, gallery.bboxes, strict=True):
        left.setdefault(int(image), []).append(bbox)
    if gallery.complement:
        out = set(gallery.images.tolist())
        listed = [i for i in range(num_images) if i not in out]
    else:
        listed = gallery.images.tolist()
    lines = []
    for image in listed:
        lines.append((image, left[image].pop(0) if left.get(image) else None))
    assert not any(left.values())
    return lines


def score_query(images, lines, similar, duplicates: str) -> dict:
    """One query: ``similar[i]`` are similarities of image i's detections."""
    num_gt, labels, values, seen = 0, [], [], set()
    for image, person in lines:
        if duplicates == 'unique' and image in seen:
            continue
        num_gt += person is not None
        if duplicates == 'seqnet' and image in seen:
            continue
        seen.add(image)
        bboxes, sims = images[image][0], similar[image]
        label = [0] * len(sims)
        if person is not None:
            w, h = person[2] - person[0], person[3] - person[1]
            threshold = min(0.5, w * h / ((w + 10) * (h + 10)))
            for j in sorted(range(len(sims)), key=lambda j: -sims[j]):
                if iou(bboxes[j], person) >= threshold:
                    label[j] = 1
                    break
        labels += label
        values += list(sims)
    found = sum(labels)
    ap = 0.0
    if found:
        ap = average_precision_score(labels, values) * found / num_gt
    ranked = sorted(zip(values, labels, strict=True), key=pessimist)
    top = {k: any(label for _, label in ranked[:k]) for k in (1, 5, 10)}
    return {'ap': ap, 'top': top, 'gt': num_gt, 'found': found}


def pessimist(pair: tuple) -> tuple:
    """Falling similarity, negatives first among equals."""
    similarity, label = pair
    return -similarity, label


def best_matchings(graph: list[list[float]]) -> list[dict[int, int]]:
    """Row -> column of each one-to-one matching of the largest total."""
    people, found = len(graph), len(graph[0])
    size = min(people, found)
    options = []
    for rows in itertools.combinations(range(people), size):
        for columns in itertools.permutations(range(found), size):
            pairs = dict(zip(rows, columns, strict=True))
            total = math.fsum(graph[r][c] for r, c in pairs.items())
            options.append((total, pairs))
    best = max(total for total, _ in options)
    return [pairs for total, pairs in options if total > best - 1e-12]


def people_around(images, query, k2: int, variant: str) -> list:
    """Embeddings of the people who are matched beside the query."""
    bboxes, scores, embeddings = images[query.image]
    falling = sorted(range(len(bboxes)), key=lambda j: -scores[j])
    if variant == 'sum':
        others = [j for j in falling if iou(bboxes[j], query.bbox) < 0.5]
        return [embeddings[j] for j in others[:k2]]
    # the query comes first in its own image, and takes away what overlaps
    # it by more than a half
    others = [j for j in falling if iou(bboxes[j], query.bbox) <= 0.5]
    return [embeddings[j] for j in others][: k2 - 1]


def images_to_revise(lines, similar, k1: int, variant: str) -> list[int]:
    listed = sorted({image for image, _ in lines if len(similar[image])})
    if variant == 'sum':
        return sorted(listed, key=lambda image: -max(similar[image]))[:k1]
    everything = [(s, image) for image in listed for s in similar[image]]
    rising = sorted(everything, key=lambda pair: pair[0])  # stable
    return sorted({image for _, image in rising[-k1:]})


def rematches(
    images, lines, similar, query, k1, k2, dot, variant='published'
) -> dict[int, list[list[float]]]:
    """Image -> its similarities after each matching of the largest total."""
    context = people_around(images, query, k2, variant)
    revised = {}
    for image in images_to_revise(lines, similar, k1, variant):
        graph = [similar[image]] + [dot(images[image][2], c) for c in context]
        revised[image] = []
        for pairs in best_matchings(graph):
            values = list(similar[image])
            if 0 in pairs:
                edges = [graph[r][c] for r, c in pairs.items()]
                total = math.fsum(edges) if variant == 'sum' else max(edges)
                values[pairs[0]] = total
            revised[image].append(values)
    return revised


def rematch(images, lines, similar, query, dot, cbgm: dict) -> dict:
    """Context bipartite graph matching of one query in one gallery."""
    found = rematches(images, lines, similar, query, dot=dot, **cbgm)
    return dict(enumerate(similar)) | {i: v[0] for i, v in found.items()}


def score_search(
    features,
    name: str,
    *,
    images=None,
    det_thr: float = 0.5,
    duplicates: str = 'seqnet',
    cws: bool = False,
    gt_boxes: bool = False,
    cbgm: dict | None = None,
    detected_query: bool = False,
    dot: Callable = exact_dot,
    only: range | None = None,
) -> list[dict]:
    """The queries of one protocol, or ``only`` some of them."""
    protocol = features.protocols[name]
    if images is None:
        boxes = features.ground_truth if gt_boxes else features.detections
        images = per_image(boxes, det_thr)
    results = []
    for position in only or range(len(protocol.queries)):
        number = int(protocol.queries[position])
        query = features.queries[number]
        lines = entries(protocol.galleries[position], len(images))
        vector, fallback = features.query_embeddings[number], False
        if detected_query:
            vector, fallback = detected(images, query, vector)
        similar = [dot(embeddings, vector) for _, _, embeddings in images]
        if cws:
            similar = [
                [s * float(c) for s, c in zip(sims, scores, strict=True)]
                for sims, (_, scores, _) in zip(similar, images, strict=True)
            ]
        if cbgm is not None:
            similar = rematch(images, lines, similar, query, dot, cbgm)
        result = score_query(images, lines, similar, duplicates)
        results.append(result | {'fallback': fallback})
    return results


def detected(images, query, vector) -> tuple:
    bboxes, _, embeddings = images[query.image]
    best, chosen = 0.0, None
    for j in range(len(bboxes)):
        if iou(bboxes[j], query.bbox) > best:
            best, chosen = iou(bboxes[j], query.bbox), j
    return (vector, True) if chosen is None else (embeddings[chosen], False)


def summary(results: list[dict], detected_query: bool = False) -> dict:
    scored = [r for r in results if r['gt']]

    def mean(values: list) -> float:
        return sum(values) / len(values) if values else float('nan')

    figures = {'mAP': mean([r['ap'] for r in scored])}
    for k in (1, 5, 10):
        figures[f'top-{k}'] = mean([r['top'][k] for r in scored])
    figures |= {
        'queries': len(results),
        'gt': sum(r['gt'] for r in results),
        'found': sum(r['found'] for r in results),
        'skipped': len(results) - len(scored),
    }
    if detected_query:
        figures['fallbacks'] = sum(r['fallback'] for r in results)
    return figures


def score_detection(features, det_thr: float = 0.5) -> dict:
    everybody = [True] * len(features.gt_ids)
    labels, scores, num_gt = match_people(features, det_thr, everybody)
    found = sum(labels)
    nan = float('nan')
    recall = found / num_gt if num_gt else nan
    ap = nan if not num_gt else 0.0
    if found:
        ap = average_precision_score(labels, scores) * recall
    labelled = [bool(i >= 0) for i in features.gt_ids]
    hits, _, num_labelled = match_people(features, det_thr, labelled)
    return {
        'AP': ap,
        'recall': recall,
        'gt': num_gt,
        'found': found,
        'boxes': len(labels),
        'recall-labelled': sum(hits) / num_labelled if num_labelled else nan,
        'gt-labelled': num_labelled,
        'found-labelled': sum(hits),
    }


def match_people(features, det_thr: float, wanted: list[bool]) -> tuple:
    """Labels and scores of all detections, and how many people count."""
    labels, scores, num_gt = [], [], 0
    people = features.ground_truth
    for image, (bboxes, points) in enumerate(
        per_gt(features.detections, det_thr)
    ):
        part = range(people.offsets[image], people.offsets[image + 1])
        truth = [people.bboxes[r] for r in part if wanted[r]]
        num_gt += len(truth)
        table = [[iou(t, b) for b in bboxes] for t in truth]
        for j in range(len(bboxes)):
            column = [row[j] for row in table]
            label = 0
            if column and max(column) >= 0.5:
                row = table[column.index(max(column))]
                label = int(row.index(max(row)) == j)
            labels.append(label)
            scores.append(float(points[j]))
    return labels, scores, num_gt


def per_gt(boxes, threshold: float = 0.0) -> list[tuple]:
    images = []
    for i in range(len(boxes.offsets) - 1):
        part = range(boxes.offsets[i], boxes.offsets[i + 1])
        keep = [r for r in part if boxes.scores[r] >= threshold]
        images.append((boxes.bboxes[keep], boxes.scores[keep]))
    return images


def evaluate(features, option: dict, **how) -> dict:
    """All protocols under one option, named as the package names them."""
    suffix = ''.join('+' + key.replace('_', '-') for key in option)
    if option.get('cbgm', {}).get('variant') == 'sum':
        suffix += '-sum'
    result = {}
    for name in features.protocols:
        results = score_search(features, name, **option, **how)
        figures = summary(results, option.get('detected_query', False))
        for key, value in figures.items():
            result[f'{name}{suffix}/{key}'] = value
    return result
