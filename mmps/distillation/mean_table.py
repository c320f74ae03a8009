"""A lookup table for teachers that keep none: mean embeddings.

Symbols used in this file:
    P   labelled training identities = rows of the table
    D   size of an embedding

Source: Munjal, Galasso and Amin, "Knowledge Distillation for End-to-End
Person Search", BMVC 2019, section 4.2.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmps.engine import CheckpointError

from .lut import IdentityTable, check_rows


def compute_table(
    batches: Iterable[tuple[Tensor, Tensor]],
    names: Sequence[str],
    origin: str,
) -> IdentityTable:
    """Average the embeddings of every identity: for teachers without OIM.

    Args:
        batches: (n, D) embeddings of any length and (n,) long identity rows;
            people without identity, below 0, are left out.
        names: P identity names, row by row.
        origin: How the embeddings were made; is written into the table.

    Returns:
        Normalised means of the normalised embeddings.

    Raises:
        CheckpointError: An identity was never seen (it is named), or a mean
            is not finite.
    """
    sums = None
    for embeddings, ids in batches:
        embeddings = F.normalize(embeddings.double().cpu(), dim=1)
        ids = ids.long().cpu()
        if sums is None:
            sums = embeddings.new_zeros(len(names), embeddings.shape[1])
        sums.index_add_(0, ids[ids >= 0], embeddings[ids >= 0])
    if sums is None:
        raise CheckpointError(origin, 'there is no image to take people from')
    rows = F.normalize(sums, dim=1).float()
    table = IdentityTable(rows, tuple(names), origin, origin)
    check_rows(table)
    return table


def embeddings_of_people(
    embed: Callable[[dict], Sequence], batches: Iterable[dict]
) -> Iterable[tuple[Tensor, Tensor]]:
    """Embeddings and identities of annotated people, image by image.

    Args:
        embed: Takes what a data loader of a test set gives and returns its
            samples, with ``gt_instances.embeddings`` (n, D) and
            ``gt_instances.instances_ids`` (n,).
        batches: A data loader.

    Raises:
        ValueError: The network embeds no one.
    """
    for data in batches:
        with torch.no_grad():
            samples = embed(data)
        for sample in samples:
            people = sample.gt_instances
            if 'embeddings' not in people:
                raise ValueError(
                    'the network returns no gt_instances.embeddings, so it '
                    'cannot teach a table; a detector alone embeds no one'
                )
            yield people.embeddings, people.instances_ids
