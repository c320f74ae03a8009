"""Time RoIAlign and NMS of every set of operators that is installed.

Contenders: ours; torchvision; the compiled ops of full mmcv, each called as
mmps calls it (`MMPS_OPS`); and plain torch as one would write it first
(`grid_sample` per region, one loop over boxes). All get the same inputs,
answers are compared before anything is timed, and the contenders take turns,
so that a busy machine slows all of them alike.

    python benchmarks/ops.py                       # CPU, and GPU if there is
    python benchmarks/ops.py --threads 1 --out ops.json
    python benchmarks/ops.py --device cuda --out ops_cuda.json
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from itertools import accumulate
from pathlib import Path

CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
ROI_CASES = {  # name: regions, channels, map height, width, bins, box size
    'RoIAlign, C4 training': (128, 1024, 38, 57, 14, (0.05, 0.5)),
    'RoIAlign, C4 people': (128, 1024, 38, 57, 14, (0.03, 0.15)),
    'RoIAlign, small map': (128, 256, 20, 30, 14, (0.05, 0.5)),
    'RoIAlign, FPN P2': (128, 256, 200, 336, 7, (0.01, 0.06)),
}
NMS_CASES = {  # name: boxes, side of the picture in pixels, threshold
    'NMS, 2000 boxes': (2000, 1000, 0.7),
    'NMS, 12 000 boxes': (12000, 1000, 0.7),
    'NMS, 12 000 in a crowd': (12000, 200, 0.5),
}
QUICK_ROI = {'RoIAlign, tiny': (8, 16, 12, 15, 3, (0.05, 0.5))}
QUICK_NMS = {'NMS, tiny': (100, 100, 0.5)}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--device', choices=('all', 'cpu', 'cuda'), default='all'
    )
    parser.add_argument('--threads', type=int, help='of torch on the CPU')
    parser.add_argument(
        '--repeats', type=int, default=7, help='timings per median'
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=10,
        help='a contender that has used this long is timed no further',
    )
    parser.add_argument(
        '--clock',
        choices=CLOCKS,
        default='wall',
        help='cpu: processor time of all threads, for a CPU that others use '
        'too; means little on a GPU',
    )
    parser.add_argument(
        '--only', default='', help='cases whose name contains this'
    )
    parser.add_argument('--quick', action='store_true', help='tiny inputs')
    parser.add_argument('--out', type=Path, help='write a JSON file')
    return parser.parse_args(argv)


def roi_by_grid_sample(features, rois, bins):
    """One region at a time; equal to RoIAlign for regions inside the map."""
    import torch
    from torch.nn.functional import avg_pool2d, grid_sample

    out = []
    height, width = features.shape[2:]
    for image, *box in rois.tolist():
        x1, y1, x2, y2 = (v - 0.5 for v in box)
        ny = max(1, -int(-(y2 - y1) // bins))
        nx = max(1, -int(-(x2 - x1) // bins))
        y, x = (
            (torch.arange(bins * n, device=rois.device) + 0.5)
            * ((stop - start) / (bins * n))
            + start
            for start, stop, n in ((y1, y2, ny), (x1, x2, nx))
        )
        y, x = y * (2 / (height - 1)) - 1, x * (2 / (width - 1)) - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), 2)
        one = features[int(image)][None]
        values = grid_sample(
            one, grid[None], padding_mode='border', align_corners=True
        )
        out.append(avg_pool2d(values, (ny, nx)))
    return torch.cat(out)


def nms_by_loop(boxes, scores, threshold):
    """Keep the best box, drop who overlaps it, again with the rest."""
    import torch

    left, kept = scores.argsort(descending=True, stable=True), []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[left, :2])
        high = torch.minimum(boxes[best, 2:], boxes[left, 2:])
        inter = (high - low).clamp(min=0).prod(1)
        iou = inter / (area[best] + area[left] - inter)
        left = left[~(iou > threshold)]
    return torch.stack(kept)


def find_contenders(device):
    """Return RoIAligns, NMSs, and what is not there and why."""
    from mmps.ops import choice, nms, roi_align

    def forced(name, operator):
        def call(*args):
            os.environ[choice.VARIABLE] = name
            return operator(*args)

        return call

    rois, boxes, absent = {}, {}, {}
    for name in reversed(choice.SETS):
        os.environ[choice.VARIABLE] = name
        try:
            choice.kernels_for(device)
        except ImportError as error:
            absent[f'{name} on {device}'] = str(error.__cause__)
            continue
        label = 'ours' if name == choice.OURS else name
        rois[label] = forced(name, roi_align)
        boxes[label] = forced(name, nms)
    return (
        rois | {'plain torch': roi_by_grid_sample},
        boxes | {'plain torch': nms_by_loop},
        absent,
    )


def make_rois(case, device):
    """Return features that want a gradient, regions inside, and bins."""
    import torch

    regions, channels, height, width, bins, (least, most) = case
    gen = torch.Generator().manual_seed(0)
    size = torch.rand(regions, 2, generator=gen) * (most - least) + least
    size = size * width
    size[:, 1] = (size[:, 1] * 2).clamp(max=height - 1)  # people stand
    room = torch.tensor([width, height]) - 1 - size
    corner = torch.rand(regions, 2, generator=gen) * room + 0.5
    image = torch.zeros(regions, 1)
    rois = torch.cat([image, corner, corner + size], 1).to(device)
    features = torch.randn(1, channels, height, width, generator=gen)
    return features.to(device).requires_grad_(), rois, bins


def make_boxes(case, device):
    import torch

    number, side, threshold = case
    gen = torch.Generator().manual_seed(0)
    corner = torch.rand(number, 2, generator=gen) * side
    size = torch.rand(number, 2, generator=gen) * 100 + 10
    boxes = torch.cat([corner, corner + size], 1)
    scores = torch.rand(number, generator=gen)
    return boxes.to(device), scores.to(device), threshold


def check_rois(contenders, features, rois, bins):
    """Compare values and gradients; return the largest difference."""
    import torch

    answers = {}
    for name, pool in contenders.items():
        out = pool(features, rois, bins)
        (grad,) = torch.autograd.grad(out.sum(), features)
        answers[name] = out.detach(), grad
    worst = 0.0
    for name, pair in answers.items():
        for mine, other in zip(answers['ours'], pair, strict=True):
            apart = float((mine - other).abs().max() / other.abs().max())
            worst = max(worst, apart)
            if apart > 1e-4:
                raise SystemExit(
                    f'{name} differs from ours by {apart:.1e} of the largest '
                    'value (1e-4 is allowed): nothing was timed'
                )
    return worst


def check_boxes(contenders, *case):
    """Count boxes that only one of two contenders keeps; return the most.

    A threshold that is met to the last bit may fall either way.
    """
    mine = set(contenders['ours'](*case).tolist())
    worst = 0
    for name, suppress in contenders.items():
        apart = len(mine ^ set(suppress(*case).tolist()))
        worst = max(worst, apart)
        if apart > 0.001 * len(case[0]):
            raise SystemExit(
                f'{name} keeps {apart} boxes that ours drops or the other '
                'way round: nothing was timed'
            )
    return worst


def measure(runs, device, args):
    """Time each function in turn.

    Returns:
        Name to dict: median and all seconds, peak MiB above the start.
    """
    times = {name: [] for name in runs}
    for _ in range(args.repeats):
        for name, run in runs.items():
            if not times[name] or sum(times[name]) < args.seconds:
                times[name].append(time_once(run, device, args.clock))
    return {
        name: {
            'median_s': statistics.median(times[name]),
            'times_s': times[name],
            'peak_mib': peak_mib(run, device),
        }
        for name, run in runs.items()
    }


def time_once(run, device, clock):
    import torch

    if device == 'cuda':
        torch.cuda.synchronize()
    start = CLOCKS[clock]()
    run()
    if device == 'cuda':
        torch.cuda.synchronize()
    return CLOCKS[clock]() - start


def peak_mib(run, device):
    """Memory of tensors at the worst moment, above that before, in MiB."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profiler:
        run()
    changes = sorted(
        (event.start_ns(), event.nbytes())
        for event in profiler.profiler.kineto_results.events()
        if event.name() == '[memory]'
    )
    return max(accumulate(size for _, size in changes)) / 2**20


def describe_machine():
    import torch

    name = platform.processor() or platform.machine()
    for line in open_lines('/proc/cpuinfo'):
        if line.startswith('model name'):
            name = line.split(':')[1].strip()
            break
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        'cpu': name,
        'cores': len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        'load': os.getloadavg()[0] if hasattr(os, 'getloadavg') else None,
        'threads': torch.get_num_threads(),
        'gpu': gpu,
        'torch': torch.__version__,
        'python': platform.python_version(),
    }


def open_lines(path):
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def run_cases(args, device):
    """Yield one row per case: its name, the check, and the measurements."""
    import torch

    rois, boxes, _ = find_contenders(device)
    roi_cases, nms_cases = (
        {name: cases[name] for name in cases if args.only in name}
        for cases in (
            (QUICK_ROI, QUICK_NMS) if args.quick else (ROI_CASES, NMS_CASES)
        )
    )
    for name, case in roi_cases.items():
        features, regions, bins = make_rois(case, device)
        apart = check_rois(rois, features, regions, bins)

        def forward(pool, inputs=(features, regions, bins)):
            with torch.no_grad():
                pool(*inputs)

        def both(pool, inputs=(features, regions, bins)):
            pool(*inputs).sum().backward()
            inputs[0].grad = None

        for suffix, step in (('forward', forward), ('+ backward', both)):
            runs = {
                who: lambda pool=pool, step=step: step(pool)
                for who, pool in rois.items()
            }
            found = measure(runs, device, args)
            yield {
                'case': f'{name}, {suffix}',
                'device': device,
                'apart': f'{apart:.0e}',
                'found': found,
            }
    for name, case in nms_cases.items():
        inputs = make_boxes(case, device)
        apart = check_boxes(boxes, *inputs)
        runs = {
            who: lambda suppress=suppress, inputs=inputs: suppress(*inputs)
            for who, suppress in boxes.items()
        }
        found = measure(runs, device, args)
        yield {
            'case': name,
            'device': device,
            'apart': f'{apart} boxes',
            'found': found,
        }


def show(rows, machine, absent):
    """Print seconds, peak memory, and how many times longer than ours."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    names = list(dict.fromkeys(who for row in rows for who in row['found']))
    table = Table(
        title=f'Median ms ({machine["clock"]}), times ours, peak MiB'
    )
    table.add_column('case')
    table.add_column('on')
    for name in names:
        table.add_column(name, justify='right')
    table.add_column('apart', justify='right')
    for row in rows:
        ours = row['found']['ours']['median_s']
        cells = []
        for name in names:
            one = row['found'].get(name)
            if one is None:
                cells.append('-')
                continue
            peak = one['peak_mib']
            ratio = one['median_s'] / ours
            cells.append(
                f'{one["median_s"] * 1e3:.1f}  x{ratio:.2f}  {peak:>4.0f}'
            )
        table.add_row(row['case'], row['device'], *cells, row['apart'])
    console.print(table)
    console.print(
        'apart: largest difference from ours, of values and gradients as a '
        'share of the largest; of NMS, boxes that one of the two keeps'
    )
    for name, reason in absent.items():
        console.print(f'not there: {name} ({reason})', markup=False)
    parts = (f'{key} {value}' for key, value in machine.items() if value)
    console.print(', '.join(parts), markup=False)


def main(argv=None):
    args = parse_args(argv)
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # the profiler is chatty
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    has_gpu = torch.cuda.is_available()
    if args.device == 'cuda' and not has_gpu:
        raise SystemExit('--device cuda: torch sees no GPU here; use cpu')
    devices = [args.device] if args.device != 'all' else ['cpu', 'cuda']
    absent = {}
    if not has_gpu:
        devices, absent['GPU'] = ['cpu'], 'torch sees none'
    os.environ.pop('MMPS_OPS', None)  # each contender sets its own
    for device in devices:
        absent |= find_contenders(device)[2]
    machine = describe_machine() | {'clock': args.clock}
    rows = []
    for device in devices:
        for row in run_cases(args, device):
            rows.append(row)
            print(f'done: {row["case"]}, {device}', file=sys.stderr)
    if not rows:
        names = ', '.join([*ROI_CASES, *NMS_CASES])
        raise SystemExit(f'--only {args.only}: no such case among {names}')
    show(rows, machine, absent)
    if args.out:
        result = {'machine': machine, 'absent': absent, 'rows': rows}
        args.out.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
