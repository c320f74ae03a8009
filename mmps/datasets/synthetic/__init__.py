"""Synthetic person search data in the layouts of CUHK-SYSU and PRW."""

from .generate import LAYOUTS, SIZES, ExistsError, generate
from .knobs import Knobs

__all__ = ['LAYOUTS', 'SIZES', 'ExistsError', 'Knobs', 'generate']
