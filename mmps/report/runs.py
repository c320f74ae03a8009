"""A test run as it lies on disk: result, features, log of the training."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmps.evaluation.dump import read_dump
from mmps.evaluation.features import Features
from mmps.evaluation.per_query import SUFFIXES, QueryLine, read_per_query
from mmps.evaluation.scoring import evaluate, score_features

from .training_log import TrainingLog, find_logs, read_logs

#: How far a figure of the result may lie from the same of the features.
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Run:
    """What is known of one test run.

    Attributes:
        name: For people.
        result: '<row>/<figure>' -> number, as ``evaluate`` gives it.
        features: To draw curves and pictures from; None if there is no dump.
        log: Of the training; None if there is none.
    """

    name: str
    result: dict[str, float]
    features: Features | None = None
    log: TrainingLog | None = None


def read_run(text: str, det_thr: float = 0.5) -> Run:
    """Read ``[NAME=]FILE[,FILE...]``, all files of one run.

    Args:
        text: A result (.json), a dump (.npz), a work_dir, in any order, at
            most one of each; a result or a dump is needed. The name is that
            of the first file if it is not given. Without a work_dir the log
            is looked for beside the files.
        det_thr: Detections below this score are not there.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file of another kind, or two of one; a result and a dump
            that do not belong together.
    """
    name, _, files = text.rpartition('=')
    paths = [Path(part) for part in files.split(',') if part]
    by_kind: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(
                f'{path}: no such file; `mmps test --out --dump` writes '
                'results and features'
            )
        kind = 'work_dir' if path.is_dir() else path.suffix
        if kind not in ('.json', '.npz', 'work_dir') or kind in by_kind:
            raise ValueError(
                f'{path}: a run has one .json (`mmps test --out`), one .npz '
                f'(--dump) and one work_dir at most, got {files!r}'
            )
        by_kind[kind] = path
    if not set(by_kind) & {'.json', '.npz'}:
        raise ValueError(
            f'{text!r} names no result (.json) and no features (.npz); '
            '`mmps test --out --dump` writes them'
        )
    features = read_dump(by_kind['.npz']) if '.npz' in by_kind else None
    result = {}
    if features is not None:
        result = evaluate(features, det_thr=det_thr)
    if '.json' in by_kind:
        written = read_result(by_kind['.json'])
        check_same(written, result, by_kind)
        result = written
    return Run(name or paths[0].stem, result, features, _log(by_kind))


def read_queries(path: Path, det_thr: float = 0.5) -> list[QueryLine]:
    """What each query of a run found.

    Args:
        path: A file of single queries (.csv, .json), or a dump (.npz), which
            is scored, the standard rows alone.
        det_thr: Of a dump; detections below this score are not there.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file of another kind.
    """
    if path.suffix == '.npz':
        return score_features(read_dump(path), det_thr=det_thr).queries
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f'{path}: a run is a file with results per query '
            f'({" or ".join(SUFFIXES)}) or a dump (.npz)'
        )
    return read_per_query(path)


def read_result(path: Path) -> dict[str, float]:
    """Read what ``report.write_json`` wrote; null is NaN.

    Raises:
        ValueError: It is something else.
    """
    try:
        values = json.loads(path.read_text())
        result = {
            key: math.nan if value is None else value
            for key, value in values.items()
        }
        numbers = all(
            '/' in key and isinstance(value, int | float)
            for key, value in result.items()
        )
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{path}: not a result ({error})') from error
    if not numbers or not result:
        raise ValueError(
            f"{path}: not a result; expected numbers named '<row>/<figure>', "
            'as `mmps test --out` writes them'
        )
    return result


def check_same(
    written: dict[str, float],
    scored: dict[str, float],
    files: dict[str, Path],
) -> None:
    """Refuse a result and features of different runs.

    Args:
        written: Figures of the .json.
        scored: Figures of the .npz.
        files: Kind -> path, for the message.
    """
    for key in written.keys() & scored.keys():
        a, b = written[key], scored[key]
        if abs(a - b) > TOLERANCE or math.isnan(a) != math.isnan(b):
            raise ValueError(
                f'{files[".json"]} has {key} = {a}, but {files[".npz"]} '
                f'scores {b}: they are from different runs, or --det-thr '
                'differs from that of the test'
            )


def _log(by_kind: dict[str, Path]) -> TrainingLog | None:
    folders: Sequence[Path] = [by_kind.get('work_dir', Path())]
    if 'work_dir' not in by_kind:
        folders = [path.parent for path in by_kind.values()]
    files = find_logs(folders[0])
    if 'work_dir' in by_kind and not files:
        raise ValueError(
            f'{folders[0]}: no */vis_data/scalars.json; give the work_dir of '
            'the training'
        )
    return read_logs(files) if files else None
