"""A longer history: the same questions and evidence, turns of the others before."""

from __future__ import annotations

import pytest

from workbench.errors import InvalidSettings
from workbench.evaluation import lengthened, small


def test_the_others_come_before_and_the_evidence_stays() -> None:
    plain = small().conversations
    for before, after in zip(plain, lengthened(plain, 150), strict=True):
        added = len(after.turns) - len(before.turns)
        assert len(after.turns) == 150
        assert [turn.text for turn in after.turns[added:]] == [turn.text for turn in before.turns]
        assert not {turn.speaker for turn in after.turns[:added]} & set(before.speakers)
        assert list(after.times) == sorted(after.times)
        assert len({turn.id for turn in after.turns}) == 150
        assert len(after.sittings) > len(before.sittings)
        for question in before.questions:
            assert after.evidence_of(question) == {place + added for place in before.evidence_of(question)}


def test_a_conversation_that_is_long_enough_stays() -> None:
    plain = small().conversations
    assert lengthened(plain, 10) == plain


def test_more_than_there_is_is_refused() -> None:
    plain = small().conversations
    most = sum(len(one.turns) for one in plain)
    assert {len(one.turns) for one in lengthened(plain, most)} == {most}
    with pytest.raises(InvalidSettings, match="together have 204 turns"):
        lengthened(plain, most + 1)
