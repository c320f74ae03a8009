"""Time of the parts of a training step, and its peak memory.

Each config runs in a process of its own, one after the other, on made-up
scenes of its own input size: images a second, peak memory, and the share of
each stage. The step is taken apart at the feature map and at the pooled
vectors, where gradients are handed over by hand; before timing it is checked
that the parts add up to the losses and gradients of the whole step. On a GPU
that is done with every set of operators that is installed (`MMPS_OPS`).

    python benchmarks/training.py                        # CPU
    python benchmarks/training.py --device cuda          # float32 and AMP
    python benchmarks/training.py --device cuda --operators torchvision
    python benchmarks/training.py --configs oim_r18 --steps 10 --out t.json
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIGS = ('det_r18', 'oim_r18', 'oim_r50')
OPERATORS = ('torchvision', 'mmcv', 'torch')
STAGES = {
    'data': 'decode, resize, flip, normalise',
    'backbone': 'conv1 to conv4, forward and backward',
    'rpn': 'RPN, its losses, proposals and NMS',
    'sampling': 'assigning and drawing RoIs',
    'roi_align': 'RoIAlign, forward and backward',
    'conv5': 'conv5 on the RoIs, forward and backward',
    'boxes': 'class and box branch and losses',
    'oim': 'embedding, OIM loss, table and queue',
    'update': 'gradient clipping and SGD',
}


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--configs', nargs='+', default=CONFIGS)
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--operators',
        nargs='+',
        choices=OPERATORS,
        help='of RoIAlign and NMS; by default all on a GPU, ours on a CPU',
    )
    parser.add_argument('--threads', type=int, help='of torch on the CPU')
    parser.add_argument(
        '--batch-size', type=int, default=2, help='images [%(default)s]'
    )
    parser.add_argument(
        '--people', type=int, default=5, help='in each image [%(default)s]'
    )
    parser.add_argument(
        '--steps', type=int, default=5, help='timed, after two [%(default)s]'
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument('--one', nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


class Stopwatch:
    """Adds up the time between marks, by name."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.last = self.now()

    def now(self) -> float:
        if self.device == 'cuda':
            import torch

            torch.cuda.synchronize()
        return time.perf_counter()

    def mark(self, stage: str) -> None:
        now = self.now()
        self.seconds[stage] += now - self.last
        self.last = now


def load(name: str):
    """The model's config and the pipeline of a shipped config, no weights."""
    from mmengine.config import Config

    cfg = Config.fromfile(ROOT / 'configs' / name.split('_')[0] / f'{name}.py')
    cfg.model.backbone.init_cfg = None
    cfg.model.roi_head.shared_head.init_cfg = None
    return cfg


def write_picture(folder: str, scale: tuple) -> str:
    """A JPEG of the size of the network's input, of blurred noise."""
    import cv2
    import numpy as np

    # 4:3 with the shorter side of the config, as most of CUHK-SYSU
    height, width = min(scale), min(scale) * 4 // 3
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    path = f'{folder}/scene.jpg'
    cv2.imwrite(path, cv2.GaussianBlur(noise.astype(np.uint8), (0, 0), 2))
    return path


def annotate(path: str, people: int, shape: tuple, num_ids: int) -> dict:
    """An item of a data list with upright boxes."""
    import numpy as np

    rng = np.random.default_rng(1)
    height, width = shape
    tall = rng.uniform(0.2, 0.6, people) * height
    x1 = rng.uniform(0, 1, people) * (width - 0.4 * tall)
    y1 = rng.uniform(0, 1, people) * (height - tall)
    boxes = np.stack([x1, y1, x1 + 0.4 * tall, y1 + tall], axis=1)
    return dict(
        img_path=path,
        img_id=0,
        instances=[
            dict(
                bbox=box,
                bbox_label=0,
                ignore_flag=0,
                instance_id=int(i) if i % 4 else -1,
            )
            for i, box in zip(
                rng.integers(0, num_ids, people), boxes.tolist(), strict=True
            )
        ],
    )


def staged_step(model, feed, watch, amp: bool) -> dict:
    """One step, gradients handed over at the map and the pooled vectors."""
    import torch

    data = model.data_preprocessor(feed(), True)
    inputs, samples = data['inputs'], data['data_samples']
    watch.mark('data')
    with torch.autocast(watch.device, enabled=amp):
        feats = model.extract_feat(inputs)
        watch.mark('backbone')
        leaf = feats[0].detach().requires_grad_()
        losses, proposals, _ = model.propose((leaf,), samples)
    total(losses).backward()
    watch.mark('rpn')
    head = model.roi_head
    with torch.autocast(watch.device, enabled=amp):
        sampled = head.sample((leaf,), proposals, samples)
        from mmdet.structures.bbox import bbox2roi

        rois = bbox2roi([result.priors for result in sampled])
        watch.mark('sampling')
        regions = head.bbox_roi_extractor((leaf,), rois)
        watch.mark('roi_align')
        region_leaf = regions.detach().requires_grad_()
        pooled = head.shared_head(region_leaf).mean(dim=(2, 3))
        watch.mark('conv5')
        pooled_leaf = pooled.detach().requires_grad_()
        boxes = head.bbox_head.loss_and_target(
            *head.bbox_head(pooled_leaf), rois, sampled, head.train_cfg
        )['loss_bbox']
    total(boxes).backward()
    losses.update(boxes)
    watch.mark('boxes')
    if head.oim_head is not None:
        with torch.autocast(watch.device, enabled=amp):
            ids = head.identities(sampled, samples)
            oim = head.oim_head.loss(pooled_leaf, ids)
        total(oim).backward()
        losses.update(oim)
        watch.mark('oim')
    pooled.backward(pooled_leaf.grad)
    watch.mark('conv5')
    regions.backward(region_leaf.grad)
    watch.mark('roi_align')
    feats[0].backward(leaf.grad)
    watch.mark('backbone')
    return losses


def total(losses: dict):
    """The sum of all losses."""
    import torch

    return sum(
        value if torch.is_tensor(value) else sum(value)
        for key, value in losses.items()
        if 'loss' in key
    )


def check_parts(model, feed, device: str) -> None:
    """Raise unless the staged step is the whole step."""
    import torch

    memory = {k: v.clone() for k, v in model.named_buffers()}
    outcomes = []
    for staged in (True, False):
        for name, buffer in model.named_buffers():
            buffer.copy_(memory[name])
        torch.manual_seed(0)
        model.zero_grad()
        if staged:
            losses = staged_step(model, feed, Stopwatch(device), False)
        else:
            data = model.data_preprocessor(feed(), True)
            losses = model.loss(data['inputs'], data['data_samples'])
            total(losses).backward()
        grads = [
            p.grad.clone() for p in model.parameters() if p.grad is not None
        ]
        outcomes.append((total(losses).detach(), grads))
    (loss, grads), (whole_loss, whole_grads) = outcomes
    torch.testing.assert_close(loss, whole_loss)
    for grad, whole in zip(grads, whole_grads, strict=True):
        torch.testing.assert_close(
            grad, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max() + 1e-6)
        )


def measure(name: str, amp: bool, args: argparse.Namespace) -> dict:
    """Time one config in this process."""
    import torch
    from mmengine.dataset import Compose, pseudo_collate
    from mmengine.registry import init_default_scope

    from mmps.ops import describe_operators
    from mmps.seeding import seed_all

    init_default_scope('mmdet')
    from mmdet.registry import MODELS

    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = load(name)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(args.device)
    model.train()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], 1e-4, momentum=0.9
    )
    steps = cfg.train_dataloader.dataset.pipeline
    pipeline = Compose(steps)
    scale = next(s.scale for s in steps if s.type == 'Resize')
    with tempfile.TemporaryDirectory() as folder:
        path = write_picture(folder, scale)
        shape = (min(scale), min(scale) * 4 // 3)
        head = cfg.model.roi_head.get('oim_head')
        num_ids = head.loss_oim.num_ids if head else 1
        item = annotate(path, args.people, shape, num_ids)

        def feed() -> dict:
            return pseudo_collate(
                [pipeline(dict(item)) for _ in range(args.batch_size)]
            )

        def steady_feed() -> dict:
            seed_all(0)
            return feed()

        check_parts(model, steady_feed, args.device)
        rounds = []
        for _ in range(args.steps + 2):
            watch = Stopwatch(args.device)
            optimizer.zero_grad()
            staged_step(model, feed, watch, amp)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            watch.mark('update')
            rounds.append(watch.seconds)
        rounds = rounds[2:]
    if args.device == 'cuda':
        peak = torch.cuda.max_memory_allocated()
        where = torch.cuda.get_device_name()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        where = f'{os.cpu_count()} cores, {torch.get_num_threads()} threads'
    stages = {
        stage: statistics.median(r[stage] for r in rounds) for stage in STAGES
    }
    seconds = statistics.median(sum(r.values()) for r in rounds)
    return dict(
        config=name,
        amp=amp,
        operators=describe_operators(args.device),
        input=shape,
        batch_size=args.batch_size,
        seconds_per_step=seconds,
        images_per_second=args.batch_size / seconds,
        peak_bytes=peak,
        stages=stages,
        machine=f'{where}, torch {torch.__version__}, {platform.machine()}',
    )


def main() -> None:
    args = parse_args()
    if args.one:
        name, amp = args.one
        print(json.dumps(measure(name, amp == 'amp', args)))
        return
    results = []
    modes = ('float32', 'amp') if args.device == 'cuda' else ('float32',)
    for operators in usable(args):
        for name in args.configs:
            for mode in modes:
                done = subprocess.run(
                    [sys.executable, *sys.argv, '--one', name, mode],
                    env={**os.environ, 'MMPS_OPS': operators},
                    stdout=subprocess.PIPE,
                    text=True,
                )
                if done.returncode:
                    sys.exit(f'{name} ({mode}, {operators}) failed, see above')
                results.append(json.loads(done.stdout.splitlines()[-1]))
    for used in dict.fromkeys(result['operators'] for result in results):
        show([result for result in results if result['operators'] == used])
    if args.out:
        args.out.write_text(json.dumps(results, indent=2) + '\n')


def usable(args: argparse.Namespace) -> list[str]:
    """The sets of operators to run; says which cannot."""
    from mmps.ops.choice import VARIABLE, kernels_for

    default = OPERATORS if args.device == 'cuda' else ('torch',)
    found = []
    for name in args.operators or default:
        os.environ[VARIABLE] = name
        try:
            kernels_for(args.device)
        except ImportError as error:
            print(f'not run: {error}', file=sys.stderr)
        else:
            found.append(name)
    if not found:
        sys.exit('none of these operators is installed')
    return found


def show(results: list[dict]) -> None:
    """Print one column per config."""
    from rich.console import Console
    from rich.table import Table

    first = results[0]
    height, width = first['input']
    table = Table(
        title=f'training step, {first["batch_size"]} images of {width} x '
        f'{height}, {first["machine"]}; {first["operators"]}'
    )
    table.add_column('')
    for result in results:
        label = result['config'] + (' AMP' if result['amp'] else '')
        table.add_column(label, justify='right')

    def row(label, cells, **style):
        table.add_row(label, *cells, **style)

    row('images/s', [f'{r["images_per_second"]:.2f}' for r in results])
    row('s/step', [f'{r["seconds_per_step"]:.2f}' for r in results])
    row(
        'peak memory',
        [f'{r["peak_bytes"] / 2**30:.2f} GiB' for r in results],
        end_section=True,
    )
    for stage, what in STAGES.items():
        row(
            f'{stage}: {what}',
            [
                f'{r["stages"][stage] / sum(r["stages"].values()):.1%}'
                for r in results
            ],
        )
    Console(width=max(100, Console().width)).print(table)


if __name__ == '__main__':
    main()
