"""Score person search and detection."""

from mmps.evaluation.dump import read_dump, write_dump
from mmps.evaluation.evaluate import evaluate
from mmps.evaluation.features import Boxes, Features
from mmps.evaluation.pair_findings import PairFindings
from mmps.evaluation.pair_test_loop import PairTestLoop
from mmps.evaluation.person_search_metric import PersonSearchMetric
from mmps.evaluation.records import gather

__all__ = [
    'Boxes',
    'Features',
    'PairFindings',
    'PairTestLoop',
    'PersonSearchMetric',
    'evaluate',
    'gather',
    'read_dump',
    'write_dump',
]
