"""What distillation adds to a training step: time and memory, side by side.

The same student is trained plainly, with a frozen table (KD_reid), with a
teacher of its detector (KD_det) and with both, on the same made-up scenes,
the four taking turns in one process; the teacher's forward pass alone is timed
beside them. Medians over the rounds. Peak memory is that of one process for
each. Weights are random: they do not change the cost.

    python benchmarks/distillation.py                    # CPU, R18 from R50
    python benchmarks/distillation.py --student oim_r18_w0.1_synth \\
        --teacher det_r50_synth --shape 240 320 --batch-size 4
    python benchmarks/distillation.py --device cuda --amp
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
VARIANTS = ('plain', 'KD_reid', 'KD_det', 'both')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--student', default='oim_r18_w0.1')
    parser.add_argument('--teacher', default='det_r50')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument('--threads', type=int, help='of torch on the CPU')
    parser.add_argument(
        '--clock',
        choices=('wall', 'cpu'),
        default='wall',
        help='cpu: processor time, for a busy machine [%(default)s]',
    )
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        default=(600, 800),
        metavar=('HEIGHT', 'WIDTH'),
        help='of the scenes [600 800]',
    )
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument(
        '--people', type=int, default=5, help='in each image [%(default)s]'
    )
    parser.add_argument(
        '--rounds', type=int, default=5, help='timed, after one [%(default)s]'
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument('--one', help=argparse.SUPPRESS)
    return parser.parse_args(argv)


class Step:
    """One training step of one variant, again and again."""

    def __init__(self, variant: str, args: argparse.Namespace) -> None:
        import torch
        from mmdet.registry import MODELS
        from mmengine.config import Config

        from mmps.distillation import Teacher

        config = ROOT / 'configs' / 'oim' / f'{args.student}.py'
        model = Config.fromfile(config).model
        model.backbone.init_cfg = None
        model.roi_head.shared_head.init_cfg = None
        if variant in ('KD_det', 'both'):
            model.distiller = dict(
                type='KnowledgeDistiller',
                teacher=str(ROOT / 'configs' / 'det' / f'{args.teacher}.py'),
                checkpoint='drawn',
            )
        torch.manual_seed(0)
        self.model = MODELS.build(model).to(args.device).train()
        self.loss = self.model.roi_head.oim_head.loss_oim
        rows = torch.randn_like(self.loss.table)
        rows = torch.nn.functional.normalize(rows, dim=1)
        self.loss.table.copy_(rows)
        if variant in ('KD_reid', 'both'):
            self.loss.freeze(rows)
        if self.model.distiller is not None:
            teacher = MODELS.build(self.model.distiller.config)
            self.model.distiller.teacher = Teacher(teacher.to(args.device))
        self.optimizer = torch.optim.SGD(
            [p for p in self.model.parameters() if p.requires_grad],
            1e-5,
            momentum=0.9,
        )
        self.args = args

    def __call__(self, data: tuple) -> None:
        """Train one step."""
        import torch

        with torch.autocast(self.args.device, enabled=self.args.amp):
            losses = self.model.loss(*data)
        total = sum(v for k, v in losses.items() if 'loss' in k)
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()


def made_up(args: argparse.Namespace) -> tuple:
    """Inputs (B, 3, H, W) and samples with upright people."""
    import torch
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    height, width = args.shape
    draw = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(args.batch_size):
        tall = (0.2 + 0.4 * torch.rand(args.people, generator=draw)) * height
        x = torch.rand(args.people, generator=draw) * (width - 0.4 * tall)
        y = torch.rand(args.people, generator=draw) * (height - tall)
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(height, width),
                pad_shape=(height, width),
                batch_input_shape=(height, width),
                scale_factor=(1.0, 1.0),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.stack([x, y, x + 0.4 * tall, y + tall], dim=1),
            labels=torch.zeros(args.people, dtype=torch.long),
            instances_ids=torch.arange(args.people),
        )
        samples.append(sample.to(args.device))
    inputs = torch.randn(args.batch_size, 3, height, width, generator=draw)
    return inputs.to(args.device), samples


def clock(args: argparse.Namespace) -> float:
    """Seconds; waits for the GPU."""
    if args.device == 'cuda':
        import torch

        torch.cuda.synchronize()
    return time.process_time() if args.clock == 'cpu' else time.perf_counter()


def prepare(args: argparse.Namespace) -> None:
    """Registries and threads of this process."""
    import torch
    from mmengine.registry import init_default_scope

    import mmps  # noqa: F401 - registers

    init_default_scope('mmdet')
    if args.threads:
        torch.set_num_threads(args.threads)


def measure_time(args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each variant, and of the teacher's forward pass."""
    from mmps.seeding import seed_all

    prepare(args)
    data = made_up(args)
    steps = {variant: Step(variant, args) for variant in VARIANTS}
    teacher = steps['KD_det'].model.distiller.teacher
    asked = []
    answer = type(teacher).__call__

    def remember(self, *questions):
        asked[:] = questions
        return answer(self, *questions)

    type(teacher).__call__ = remember
    seconds = {variant: [] for variant in (*VARIANTS, 'teacher')}
    for number in range(args.rounds + 1):
        for variant, step in steps.items():
            seed_all(number)  # the same anchors and RoIs are drawn
            start = clock(args)
            step(data)
            seconds[variant].append(clock(args) - start)
        start = clock(args)
        ask(teacher, answer, asked, args)
        seconds['teacher'].append(clock(args) - start)
    return {k: statistics.median(v[1:]) for k, v in seconds.items()}


def ask(teacher, answer, questions: list, args: argparse.Namespace) -> None:
    """The teacher's forward pass alone."""
    import torch

    with torch.autocast(args.device, enabled=args.amp):
        answer(teacher, *questions)


def measure_memory(variant: str, args: argparse.Namespace) -> int:
    """Peak bytes of this process over two steps."""
    prepare(args)
    data = made_up(args)
    step = Step(variant, args)
    for _ in range(2):
        step(data)
    if args.device == 'cuda':
        import torch

        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    args = parse_args()
    if args.one:
        print(measure_memory(args.one, args))
        return
    memory = {}
    for variant in VARIANTS:
        done = subprocess.run(
            [sys.executable, *sys.argv, '--one', variant],
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            sys.exit(f'{variant} failed, see above')
        memory[variant] = int(done.stdout.splitlines()[-1])
    seconds = measure_time(args)
    show(seconds, memory, args)
    if args.out:
        result = dict(
            seconds=seconds, peak_bytes=memory, machine=machine(args)
        )
        args.out.write_text(json.dumps(result, indent=2) + '\n')


def machine(args: argparse.Namespace) -> str:
    """Where this was measured."""
    import torch

    where = f'{os.cpu_count()} cores, {torch.get_num_threads()} threads'
    if args.device == 'cuda':
        where = torch.cuda.get_device_name()
    return f'{where}, torch {torch.__version__}'


def show(seconds: dict, memory: dict, args: argparse.Namespace) -> None:
    """Print the table, and what KD_det adds in teacher's forward passes."""
    from rich.console import Console
    from rich.table import Table

    height, width = args.shape
    table = Table(
        title=f'{args.student} from {args.teacher}, {args.batch_size} images '
        f'of {width} x {height}{", AMP" if args.amp else ""}; '
        f'{args.clock} time, {machine(args)}'
    )
    table.add_column('training step')
    for column in ('seconds', 'of plain', 'peak memory'):
        table.add_column(column, justify='right')
    for variant in VARIANTS:
        table.add_row(
            variant,
            f'{seconds[variant]:.3f}',
            f'{seconds[variant] / seconds["plain"]:.3f}',
            f'{memory[variant] / 2**30:.2f} GiB',
        )
    table.add_section()
    table.add_row(
        'teacher, forward alone', f'{seconds["teacher"]:.3f}', '', ''
    )
    Console(width=max(100, Console().width)).print(table)
    added = seconds['KD_det'] - seconds['plain']
    print(
        f'KD_det adds {added:.3f} s: {added / seconds["teacher"]:.2f} forward '
        'passes of the teacher'
    )


if __name__ == '__main__':
    main()
