"""Train a config.

mmps train configs/oim/oim_r50.py
mmps train configs/oim/oim_r50.py --resume

Ctrl-C, SIGTERM and SIGUSR1 end the running iteration and save; --resume goes
on from there, bit for bit. Exit codes: 130, 143, 138. A second one ends at
once.
"""

import argparse
import signal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='logs and checkpoints [work_dirs/<config name>]'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a value from the newest '
        'intact one of the work dir, if there is any',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', 'fp16', 'bf16'],
        help='mixed precision; without a value float16 on a GPU, bfloat16 on '
        'a CPU',
    )
    parser.add_argument(
        '--accumulate',
        type=int,
        default=1,
        metavar='N',
        help='update once in N iterations: N times the batch in the memory '
        'of one [1]',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the number of images per update',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='override the config: train_cfg.max_epochs=2 ...',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how several processes were started',
    )
    # what older versions of torch.distributed.launch pass on
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def run(args: argparse.Namespace) -> None:
    """Train."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # nothing to save before training begins: end, without a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mmps.apis import load_config, parse_options, run_training
    from mmps.engine import Interrupted

    cfg = load_config(
        args.config,
        work_dir=args.work_dir,
        cfg_options=parse_options(args.cfg_options),
        launcher=args.launcher,
    )
    try:
        run_training(
            cfg,
            resume=args.resume,
            amp=args.amp or False,
            auto_scale_lr=args.auto_scale_lr,
            accumulate=args.accumulate,
        )
    except Interrupted as stop:
        stop.leave()
