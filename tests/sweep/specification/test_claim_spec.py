"""The shape of a claim: what it may be about, and what makes no sense."""

import pytest

from workbench.errors import SpecError
from workbench.sweep.specification.parts import ClaimSpec

RATIO = {"says": "faster", "metric": "speed", "direction": "maximize", "of": {"a": 2}, "against": {"a": 1}}
VALUE = {"says": "quick", "metric": "speed", "direction": "maximize", "low": 2}


@pytest.mark.parametrize(
    ("claim", "ratio", "near"),
    [
        (RATIO, True, None),
        ({**RATIO, "low": 1.1, "high": 1.3}, True, 1.1),
        ({**RATIO, "direction": "minimize", "low": 0.7, "high": 0.9}, True, 0.9),
        ({**VALUE, "against_metric": "other"}, True, 2),
        (VALUE, False, 2),
        ({**VALUE, "low": None, "nothing": 0}, False, None),
    ],
)
def test_what_it_is_about_and_where_its_range_begins(claim, ratio, near):
    read = ClaimSpec.model_validate(claim)
    assert (read.is_ratio, read.threshold) == (ratio, near)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({**RATIO, "against_metric": "other"}, "one of against"),
        ({**RATIO, "low": 2, "high": 1}, "low must not be above high"),
        ({**RATIO, "high": 1.3}, "to maximize give low"),
        ({**RATIO, "direction": "minimize", "low": 0.7}, "to minimize give high"),
        ({**RATIO, "nothing": 1, "bounds": ["l", "h"]}, "nothing, bounds: for values only"),
        ({**VALUE, "low": None}, "low, high or nothing"),
        ({**VALUE, "needs": "luck"}, "gpu"),
    ],
)
def test_what_makes_no_sense_is_refused(claim, said):
    with pytest.raises(ValueError, match=said):
        ClaimSpec.model_validate(claim)


def test_a_specification_checks_the_names_in_its_claims(specification):
    from workbench.sweep import SweepSpec

    text = "name: x\nnotebook: notebook.ipynb\nparameters: {{a: [1, 2]}}\nclaims:\n  - {{says: s, metric: speed, %s}}\n"
    text = text.replace("{{", "{").replace("}}", "}") + "objectives: [{metric: speed, direction: maximize}]\n"
    good = SweepSpec.from_file(specification(text % "of: {a: 2}, against: {a: 1}, direction: maximize, bounds: null"))
    assert good.claims[0].against == {"a": 1}
    with pytest.raises(SpecError, match=r"(?s)claims.*Unknown parameter.*'c'"):
        SweepSpec.from_file(specification(text % "of: {c: 2}, low: 1, direction: maximize"))
    with pytest.raises(SpecError, match=r"(?s)claims.*no configuration has"):
        SweepSpec.from_file(specification(text % "of: {a: 3}, low: 1, direction: maximize"))
    with pytest.raises(SpecError, match=r"(?s)claims.*Unknown key 'lows'"):
        SweepSpec.from_file(specification(text % "of: {a: 2}, lows: 1, direction: maximize"))
