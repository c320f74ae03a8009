"""Score person search and detection."""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    dump='read_dump write_dump',
    features='Boxes Features',
    pair_findings='PairFindings',
    pair_test_loop='PairTestLoop',
    person_search_metric='PersonSearchMetric',
    records='gather',
    scoring='evaluate',
)
