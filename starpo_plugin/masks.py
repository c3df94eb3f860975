"""Selective token masks: which tokens are trained, and which take part in advantage estimation.

``M_loss`` holds the tokens whose log-probability is trained, ``M_adv`` those that the estimator
sees; both are subsets of the tokens that the policy wrote. A spec is a tuple of section names
(``sections.SECTIONS``); an empty one, and ``("all",)``, mean all of them. Every function is pure,
over ``mask``, ``turn`` and ``section`` ``[B, T]`` as a ``Batch`` has them:

    loss = loss_mask(mask, section, loss_sections)
    credit = advantage_mask(mask, turn, section, advantage_sections)
    A = estimator(credit, move_rewards(rewards, mask, turn, credit), ...)
    A = spread(A, credit, loss, turn)

With all sections in both, each of them changes nothing, bit for bit.

Source: selective token masking of TRICO, in VAGEN (arXiv 2510.16907).
"""

import torch
from torch import Tensor

from starpo_plugin.advantages import turn_ends, turn_sum
from starpo_plugin.sections import SECTIONS

Spec = tuple[str, ...]
EVERYTHING: tuple[Spec, ...] = ((), ("all",))
"""Specs that take every token which the policy wrote."""


def loss_mask(mask: Tensor, section: Tensor, spec: Spec) -> Tensor:
    """M_loss: bool ``[B, T]``, the policy tokens of the named sections.

    A reply that is not well formed has most of its tokens in ``tags``: without these in the spec,
    nothing in it is trained, and a penalty on its form does not reach the policy.

    Raises ``ValueError`` where sections are named and a policy token's is not known.
    """
    policy = mask.bool()
    if spec in EVERYTHING:
        return policy
    if bool((policy & (section < 0)).any()):
        raise ValueError(
            f"masks by section ({', '.join(spec)}) need the section of every token, and some"
            " replies of this batch were not read into sections: train on all tokens instead"
        )
    chosen = torch.tensor([SECTIONS.index(name) for name in spec], device=section.device)
    return policy & torch.isin(section, chosen)


def advantage_mask(mask: Tensor, turn: Tensor, section: Tensor, spec: Spec) -> Tensor:
    """M_adv: bool ``[B, T]``, the policy tokens of the named sections.

    A turn with none of them is represented by its last policy token: the episode keeps all of its
    turns and all of their rewards.
    """
    chosen = loss_mask(mask, section, spec)
    present = turn_sum(chosen.float(), mask, turn) > 0
    return chosen | (turn_ends(mask, turn) & ~present)


def move_rewards(rewards: Tensor, mask: Tensor, turn: Tensor, chosen: Tensor) -> Tensor:
    """Each turn's reward on its last token in M_adv (``chosen``), ``[B, T]``."""
    return torch.where(turn_ends(chosen, turn), turn_sum(rewards, mask, turn), 0)


def spread(advantages: Tensor, chosen: Tensor, trained: Tensor, turn: Tensor) -> Tensor:
    """The advantages of M_adv (``chosen``) on the tokens of M_loss (``trained``), ``[B, T]``.

    A token of both keeps its own; one outside M_adv takes that of the next M_adv token in its turn,
    or of the previous one if there is none after it.
    """
    width = advantages.shape[1]
    column = torch.arange(width, device=turn.device).expand_as(turn)
    after = torch.where(chosen, column, width).flip(1).cummin(dim=1).values.flip(1)
    before = torch.where(chosen, column, -1).cummax(dim=1).values
    after, before = after.clamp(max=width - 1), before.clamp(min=0)
    follows = chosen.gather(1, after) & (turn.gather(1, after) == turn)
    source = torch.where(follows, after, before)
    return torch.where(trained, advantages.gather(1, source), 0)
