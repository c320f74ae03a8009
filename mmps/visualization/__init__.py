"""Pictures and pages: what was fed, what was found, what was measured."""

from .match_sheet import blurred_outside, save_match_sheet
from .proposal_sheet import save_proposal_sheet
from .query_pages import save_query_pages
from .ranking_sheet import ranking_sheet, save_ranking_sheet
from .weight_sweep import save_weight_sweep

__all__ = [
    'blurred_outside',
    'ranking_sheet',
    'save_match_sheet',
    'save_proposal_sheet',
    'save_query_pages',
    'save_ranking_sheet',
    'save_weight_sweep',
]
