"""Search for people on a page in the browser.

pip install 'mmps[demo]'
mmps demo
mmps demo --model configs/oim/oim_r50.py --weights epoch_20.pth

Only this computer can open the page. Nothing is sent anywhere, and what was
uploaded or found is deleted when the program ends (docs/demo.md).
"""

import argparse
import importlib.util
import signal
import sys

from .arguments import add_network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    add_network(parser)
    parser.add_argument(
        '--det-thr',
        type=float,
        help='minimum score of a detection [that of the config]',
    )
    parser.add_argument(
        '--port', type=int, help='[the first free one from 7860 on]'
    )
    parser.add_argument(
        '--browser', action='store_true', help='open a browser, too'
    )


def run(args: argparse.Namespace) -> None:
    """Show the page until Ctrl+C."""
    from mmps.errors import InputError

    if importlib.util.find_spec('gradio') is None:
        raise InputError(
            'gradio',
            'the page needs Gradio, which is not installed',
            "pip install 'mmps[demo]' (in a checkout: pip install -e "
            "'.[demo]')",
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up
    from mmps.demo.serve import launch, private_folder, quiet_environment

    quiet_environment()
    with private_folder() as folder:
        from mmps.demo.actions import Actions
        from mmps.demo.examples import draw_examples
        from mmps.demo.page import make_page
        from mmps.demo.searcher import Searcher
        from mmps.inference import PersonSearchInferencer

        inferencer = PersonSearchInferencer(
            args.model, args.weights, args.device, det_thr=args.det_thr
        )
        examples = draw_examples(folder / 'scenes')
        page = make_page(
            Actions(Searcher(inferencer), examples),
            args.model,
            inferencer.network.note,
        )
        url = launch(page, args.port, show=args.browser)
        print(f'{url} is open to this computer alone; Ctrl+C ends it')
        page.block_thread()
