"""Very small data sets, made once for all tests."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from mmps.synthetic import Knobs, plan_cuhk_sysu, plan_prw
from mmps.synthetic.generate import generate_planned, recipe_of
from mmps.synthetic.plan import Part
from mmps.synthetic.plan_cuhk_sysu import CuhkSysuSize
from mmps.synthetic.plan_prw import PRWSize

CUHK_SYSU = CuhkSysuSize(
    picture=(320, 240),
    train=Part(20, 8, 50, 12, 2, 4, 12, single=2),
    test=Part(24, 7, 41, 30, 2, 4, 9),
    queries_each=20,
    query_pictures=None,
    galleries=(10, 20),
    doubles=1,
    repeats=1,
    own=2,
    zero_boxes=4,
    occlusion=5,
    resolution=6,
)
PRW = PRWSize(
    picture=(160, 120),
    other_picture=(120, 96),
    train=Part(30, 9, 70, 10, 2, 4, 12),
    test_frames=48,
    test_identities=12,
    frames_of_all=105,
    frames=(4, 11),
    queries=45,
    positives=None,
    visitors=2,
    visits=6,
    unlabelled=30,
    empty=2,
    probes=5,
)


def make_cuhk_sysu(out: Path, seed: int = 3, jobs: int = 1):
    """Generate, and return the plan."""
    plan = plan_cuhk_sysu.make_plan(CUHK_SYSU, seed)
    _make('cuhk-sysu', plan, out, jobs)
    return plan


def make_prw(out: Path, seed: int = 3, jobs: int = 1):
    """Generate, and return the plan."""
    plan = plan_prw.make_plan(PRW, seed)
    _make('prw', plan, out, jobs)
    return plan


def copy_cuhk_sysu(out: Path) -> None:
    """Copy what ``make_cuhk_sysu`` generates, once in a process."""
    shutil.copytree(_generated_cuhk_sysu(), out)


@functools.cache
def _generated_cuhk_sysu() -> Path:
    folder = Path(tempfile.mkdtemp(prefix='scenes'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_cuhk_sysu(folder / 'set')
    return folder / 'set'


def _make(layout: str, plan, out: Path, jobs: int) -> None:
    knobs = Knobs()
    recipe = recipe_of(layout, 'test', plan.seed, knobs)
    generate_planned(layout, plan, recipe, out, jobs, knobs, progress=False)
