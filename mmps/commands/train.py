"""Train a config.

mmps train oim_r50
mmps train configs/oim/oim_r50.py --resume

Ctrl-C, SIGTERM and SIGUSR1 end the running iteration and save; --resume goes
on from there, bit for bit. Exit codes: 130, 143, 138. A second one ends at
once. On several GPUs: tools/dist_train.sh CONFIG GPUS [options].
"""

import argparse
import signal

from .arguments import add_cfg_options, add_config, add_launcher, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    add_config(parser)
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
        type=at_least(1),
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
    add_cfg_options(parser)
    add_launcher(parser)


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
