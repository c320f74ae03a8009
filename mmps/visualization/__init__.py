"""Pictures and pages: what was fed, what was found, what was measured."""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    clips='save_clips',
    match_sheet='blurred_outside save_match_sheet',
    people_picture='save_people',
    proposal_sheet='save_proposal_sheet',
    query_pages='save_query_pages',
    ranking_sheet='save_ranking_sheet',
    weight_sweep='save_weight_sweep',
)
