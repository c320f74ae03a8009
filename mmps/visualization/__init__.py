"""Pictures and pages: what was fed, what was found, what was measured."""

from .match_sheet import blurred_outside, save_match_sheet
from .proposal_sheet import save_proposal_sheet
from .query_pages import save_query_pages
from .ranking_sheet import ranking_sheet, save_ranking_sheet

__all__ = [
    'blurred_outside',
    'ranking_sheet',
    'save_match_sheet',
    'save_proposal_sheet',
    'save_query_pages',
    'save_ranking_sheet',
]
