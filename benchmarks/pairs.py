"""Pairs per second of a query-guided test: the test loop and its predecessors.

Four ways take turns, several times, on the same queries and galleries:

    obvious     both images of a pair from scratch, one pair at a time, on a
                sample of the pairs, whose results are compared
    before      with gates query after query, so that a gallery image is read
                and its stem computed for each pair; images are read when they
                are needed
    loop        image after image, each read once for all queries; images are
                read when they are needed
    ahead       the same, and threads read images ahead, as the test does

A last run of the test loop is taken apart into its stages. Runs on the GPU
where there is one.

    python benchmarks/pairs.py configs/qeeps/qeeps_r18_synth.py CHECKPOINT
    python benchmarks/pairs.py CONFIG CHECKPOINT_WITHOUT_GATES \\
        --cfg-options model.backbone.gated=False
    python benchmarks/pairs.py CONFIG CHECKPOINT --pictures 1920 1080 \\
        --frames 20 --queries 30
"""

import argparse
import json
import os
import random
import statistics
import tempfile
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
    parser.add_argument(
        '--frames',
        type=int,
        help='every query on these many first images, as in PRW, in place of '
        'its gallery',
    )
    parser.add_argument(
        '--pictures',
        type=int,
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help='enlarge the pictures, in a folder of their own; the network '
        'sees them at the size of its config',
    )
    parser.add_argument(
        '--readers', type=int, default=2, help='threads [%(default)s]'
    )
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
    from mmps.evaluation.pair_pictures import PairPictures
    from mmps.models import pair_search

    model = loop.model
    head = model.roi_head
    for owner, name, stage in (
        (PairPictures, '_item', 'read images'),
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


def run_loop(loop, galleries: dict, readers: int = 0) -> tuple:
    """As the test does: results, seconds, RoIs through conv5, decodes."""
    from mmps.evaluation.pair_pictures import PairPictures
    from mmps.evaluation.units import cut

    start = now()
    searcher, results = loop.searcher(), {}
    num = sum(map(len, galleries.values()))
    with PairPictures(loop.dataset, readers) as pictures:
        for unit in cut(galleries, loop.queries_at_once, num):
            found = searcher.run(*unit, pictures, loop.batch_size)
            pairs = zip(*(part.tolist() for part in unit), strict=True)
            results.update(zip(pairs, found, strict=True))
    return results, now() - start, searcher.num_rois, pictures.decoded.total()


def run_before(loop, galleries: dict) -> tuple[float, int]:
    """Query after query with gates, nothing read ahead: seconds, decodes."""
    if not loop.searcher().gated:
        _, seconds, _, decodes = run_loop(loop, galleries)
        return seconds, decodes
    start = now()
    searcher = loop.searcher()
    with loop.pictures() as pictures:
        pictures._pool = None
        for query, images in galleries.items():
            ((item, box),) = pictures.queries([query])
            state = searcher.begin_query(item, box)
            for first in range(0, len(images), loop.batch_size):
                batch = images[first : first + loop.batch_size]
                searcher.search(
                    [
                        (state, searcher.begin_gallery(item))
                        for item in pictures.images(batch)
                    ]
                )
    return now() - start, pictures.decoded.total()


def run_obvious(loop, pairs: list) -> tuple[dict, float]:
    """Both images from scratch for every pair: results, seconds."""
    start = now()
    results = {}
    with loop.pictures() as pictures:
        pictures._pool = None
        for query, image in pairs:
            searcher = loop.searcher()
            ((item, box),) = pictures.queries([query])
            state = searcher.begin_query(item, box)
            (item,) = pictures.images([image])
            gallery = searcher.begin_gallery(item)
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


def measure(
    loop, galleries: dict, sample: int, rounds: int, readers: int
) -> dict:
    """Run all ways in turn.

    Args:
        loop: With the network.
        galleries: Query -> images.
        sample: Pairs of the obvious loop in a round.
        rounds: How often all run.
        readers: Threads that read ahead.
    """
    pairs = [(q, image) for q, images in galleries.items() for image in images]
    draw = random.Random(0)
    run_obvious(loop, pairs[:2])  # warm up
    seconds, apart = defaultdict(list), 0.0
    for _ in range(rounds):
        some = draw.sample(pairs, min(sample, len(pairs)))
        others, took = run_obvious(loop, some)
        seconds['obvious'].append(took / len(some))
        took, decodes_before = run_before(loop, galleries)
        seconds['before'].append(took / len(pairs))
        results, took, rois, decodes = run_loop(loop, galleries)
        seconds['loop'].append(took / len(pairs))
        _, took, _, _ = run_loop(loop, galleries, readers)
        seconds['ahead'].append(took / len(pairs))
        apart = max(apart, largest_difference(results, others))
    report = dict(pairs=len(pairs))
    for way, took in seconds.items():
        report[f'{way}_pairs_per_second'] = 1 / statistics.median(took)
    for way, than in (
        ('loop', 'obvious'),
        ('loop', 'before'),
        ('ahead', 'before'),
    ):
        ratios = [
            b / a for a, b in zip(seconds[way], seconds[than], strict=True)
        ]
        report[f'{way}_over_{than}'] = statistics.median(ratios)
        report[f'{way}_over_{than}_rounds'] = [round(r, 2) for r in ratios]
    return dict(
        report,
        decodes_before=decodes_before,
        decodes=decodes,
        rois_per_pair=rois / len(pairs),
        largest_difference=apart,
        prw_mini_hours=PRW_MINI * statistics.median(seconds['loop']) / 3600,
    )


def read_share(loop, galleries: dict) -> float:
    """Share of reading images in the time of what came before."""
    stages = Stages()
    item = loop.dataset.__class__.__getitem__
    try:
        stages.watch(loop.dataset.__class__, '__getitem__', 'read images')
        run_before(loop, galleries)
    finally:
        loop.dataset.__class__.__getitem__ = item
    stages.mark()
    return stages.seconds['read images'] / sum(stages.seconds.values())


def shares(loop, galleries: dict) -> dict[str, float]:
    """Stage -> its share of the time of the test loop."""
    stages = Stages()
    watch_all(stages, loop)
    run_loop(loop, galleries)
    stages.mark()
    total = sum(stages.seconds.values())
    parts = sorted(stages.seconds.items(), key=lambda part: -part[1])
    return {stage: seconds / total for stage, seconds in parts}


def enlarge(
    root: str, size: tuple[int, int], folder: Path, names: set[str]
) -> None:
    """A copy of a data set with larger pictures, with a camera's noise.

    Args:
        root: Of the data set.
        size: Width and height.
        folder: Where the copy goes.
        names: Of the pictures to enlarge; the others are the same.
    """
    import cv2
    import numpy as np

    draw = np.random.default_rng(0)
    noise = draw.normal(0, 4, (*size[::-1], 3))
    quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
    for source in Path(root).rglob('*'):
        if source.is_dir():
            continue
        target = folder / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.name not in names:
            target.symlink_to(source.resolve())
            continue
        pixels = cv2.resize(cv2.imread(str(source)), size)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(target), pixels, quality)


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(args, Path(folder))


def run(args: argparse.Namespace, folder: Path) -> None:
    import numpy as np
    import torch

    from mmps.apis import (
        build_dataset,
        load_config,
        load_pair_loop,
        parse_options,
    )

    if args.threads:
        torch.set_num_threads(args.threads)
    options = parse_options(args.cfg_options)
    cfg = load_config(args.config, cfg_options=options)
    cfg.test_evaluator.protocols = [args.protocol]
    meta = build_dataset(cfg, 'test').metainfo
    protocol = meta['protocols'][args.protocol]
    galleries = {
        int(query): np.unique(gallery.images)
        for query, gallery in zip(
            protocol.queries[: args.queries],
            protocol.galleries[: args.queries],
            strict=True,
        )
    }
    if args.frames:
        galleries = dict.fromkeys(galleries, np.arange(args.frames))
    if args.pictures:
        images = {meta['queries'][query].image for query in galleries}
        images.update(*(part.tolist() for part in galleries.values()))
        names = {meta['image_names'][image] for image in images}
        data = cfg.test_dataloader.dataset
        enlarge(data.data_root, args.pictures, folder, names)
        data.data_root = str(folder)
    loop = load_pair_loop(cfg, args.checkpoint)
    report = measure(loop, galleries, args.sample, args.rounds, args.readers)
    report['read_share_before'] = read_share(loop, galleries)
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
