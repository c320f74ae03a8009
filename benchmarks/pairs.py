"""Pairs a second of a query-guided test, against the obvious loop.

The obvious loop runs both images of every pair through the whole network, one
pair at a time. The test loop computes once what does not depend on the other
image. Both run in turn, several times, on the same queries and galleries (the
obvious one on a sample of the pairs, whose results are compared); a last run
of the test loop is taken apart into its stages. Reading images counts for
both. Runs on the GPU where there is one.

    python benchmarks/pairs.py configs/qeeps/qeeps_r18_synth.py CHECKPOINT
    python benchmarks/pairs.py CONFIG CHECKPOINT_WITHOUT_GATES \\
        --cfg-options model.backbone.gated=False
"""

import argparse
import json
import os
import random
import statistics
import time
from collections import defaultdict
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

#: Pairs of PRW-mini, Munjal et al., CVPR 2019.
PRW_MINI = 183_330


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--protocol', default='G100')
    parser.add_argument(
        '--queries', type=int, default=20, help='the first ones [%(default)s]'
    )
    parser.add_argument(
        '--sample',
        type=int,
        default=30,
        help='pairs of the obvious loop in a round [%(default)s]',
    )
    parser.add_argument('--rounds', type=int, default=3, help='[%(default)s]')
    parser.add_argument('--threads', type=int, help='of torch on the CPU')
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    return parser.parse_args()


def now() -> float:
    """Seconds; waits for the GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Stages:
    """Adds up the time inside of functions, without what they call."""

    def __init__(self) -> None:
        self.seconds = defaultdict(float)
        self.open = ['rest']
        self.last = now()

    def mark(self) -> None:
        """Book the time since the last mark."""
        moment = now()
        self.seconds[self.open[-1]] += moment - self.last
        self.last = moment

    @contextmanager
    def inside(self, stage: str):
        """Book the time of a block."""
        self.mark()
        self.open.append(stage)
        yield
        self.mark()
        self.open.pop()

    def watch(self, owner, name: str, stage: str) -> None:
        """Book every call of a function."""
        function = getattr(owner, name)

        @wraps(function)
        def watched(*args, **kwargs):
            with self.inside(stage):
                return function(*args, **kwargs)

        setattr(owner, name, watched)


def watch_all(stages: Stages, loop) -> None:
    """Watch the stages of the test loop; they stay watched."""
    from mmps.models import pair_search

    model = loop.model
    head = model.roi_head
    for owner, name, stage in (
        (loop, '_load', 'read images'),
        (model.backbone, 'begin', 'stem and first branch'),
        (model.backbone, 'alone', 'backbone, once an image'),
        (model.backbone, 'continue_pairs', 'backbone, for each pair'),
        (model.rpn_head, 'anchors_of', 'RPN'),
        (model.rpn_head, 'query_scores', 'QRPN'),
        (pair_search, 'select_anchors', 'order and NMS of proposals'),
        (head.bbox_roi_extractor, 'forward', 'RoIAlign'),
        (head.shared_head, 'forward', 'conv5 on the RoIs'),
        (head, 'detect', 'boxes and NMS of detections'),
        (head, 'similarity', 'QSim'),
    ):
        stages.watch(owner, name, stage)


def run_loop(loop, galleries: dict) -> tuple[dict, float, int]:
    """As the test does: results, seconds, RoIs through conv5."""
    from mmps.evaluation.run_pairs import run_pairs

    start = now()
    searcher = loop.model.pair_searcher(loop.metric.det_thr, loop.cache_mb)
    found = run_pairs(
        searcher,
        galleries,
        lambda query: loop.query_state(searcher, query),
        lambda image: loop.gallery_state(searcher, image),
        loop.batch_size,
    )
    seconds = now() - start
    results = {
        (query, image): result
        for query, images in found.items()
        for image, result in images.items()
    }
    return results, seconds, searcher.num_rois


def run_obvious(loop, pairs: list) -> tuple[dict, float]:
    """Both images from scratch for every pair: results, seconds."""
    start = now()
    results = {}
    for query, image in pairs:
        searcher = loop.model.pair_searcher(loop.metric.det_thr, 0)
        state = loop.query_state(searcher, query)
        gallery = loop.gallery_state(searcher, image)
        (results[query, image],) = searcher.search([(state, gallery)])
    return results, now() - start


def largest_difference(results: dict, others: dict) -> float:
    """Of similarities and scores; infinite where counts differ."""
    apart = 0.0
    for pair, other in others.items():
        one = results[pair]
        if len(one.scores) != len(other.scores):
            return float('inf')
        for name in ('similarity', 'scores'):
            a, b = getattr(one, name), getattr(other, name)
            if len(a):
                apart = max(apart, float((a - b).abs().max()))
    return apart


def machine() -> str:
    """What the numbers belong to."""
    import torch

    if torch.cuda.is_available():
        where = torch.cuda.get_device_name()
    else:
        where = f'{os.cpu_count()} cores, {torch.get_num_threads()} threads'
    return f'{where}, torch {torch.__version__}'


def measure(loop, galleries: dict, sample: int, rounds: int) -> dict:
    """Run both loops in turn.

    Args:
        loop: With the network.
        galleries: Query -> images.
        sample: Pairs of the obvious loop in a round.
        rounds: How often both run.
    """
    pairs = [(q, image) for q, images in galleries.items() for image in images]
    draw = random.Random(0)
    run_obvious(loop, pairs[:2])  # warm up
    fast, slow, apart = [], [], 0.0
    for _ in range(rounds):
        some = draw.sample(pairs, min(sample, len(pairs)))
        others, seconds = run_obvious(loop, some)
        slow.append(seconds / len(some))
        results, seconds, rois = run_loop(loop, galleries)
        fast.append(seconds / len(pairs))
        apart = max(apart, largest_difference(results, others))
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return dict(
        pairs=len(pairs),
        loop_pairs_per_second=1 / statistics.median(fast),
        obvious_pairs_per_second=1 / statistics.median(slow),
        ratio=statistics.median(ratios),
        ratios=ratios,
        rois_per_pair=rois / len(pairs),
        largest_difference=apart,
        prw_mini_hours=PRW_MINI * statistics.median(fast) / 3600,
    )


def shares(loop, galleries: dict) -> dict[str, float]:
    """Stage -> its share of the time of the test loop."""
    stages = Stages()
    watch_all(stages, loop)
    run_loop(loop, galleries)
    stages.mark()
    total = sum(stages.seconds.values())
    parts = sorted(stages.seconds.items(), key=lambda part: -part[1])
    return {stage: seconds / total for stage, seconds in parts}


def main() -> None:
    args = parse_args()
    import torch

    from mmps.apis import load_config, load_pair_loop, parse_options

    if args.threads:
        torch.set_num_threads(args.threads)
    options = parse_options(args.cfg_options)
    cfg = load_config(args.config, cfg_options=options)
    loop = load_pair_loop(cfg, args.checkpoint)
    protocols = loop.dataloader.dataset.metainfo['protocols']
    protocol = protocols[args.protocol]
    galleries = {
        int(query): sorted({int(image) for image in gallery.images})
        for query, gallery in zip(
            protocol.queries[: args.queries],
            protocol.galleries[: args.queries],
            strict=True,
        )
    }
    report = measure(loop, galleries, args.sample, args.rounds)
    report['shares'] = shares(loop, galleries)
    report['machine'] = machine()
    for name, value in report.items():
        if name != 'shares':
            print(f'{name:28} {value}')
    for stage, share in report['shares'].items():
        print(f'    {stage:26} {100 * share:5.1f} %')
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
