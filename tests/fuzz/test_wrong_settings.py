"""Every wrong setting is refused with one line that names it, before the run begins."""

import pytest

from . import cases, harness, meanings, reported
from .values import kind_of

QUICK = 6
"""Of the cases that people reported every so many-th is in the quick tests."""

GENERATED = 8
"""Of a case of each group and kind of wrongness every so many-th is in the quick tests."""

EVERY_GROUP = (
    "attack", "common", "dataset", "engine", "hardware", "model", "pool", "score", "sweep", "target", "task",
    "tracking",
)  # fmt: skip


def refuse(chosen, given, tally, begin=None):
    """Try all of the cases; fail with those that were not refused as they should be. begin: see harness.run."""

    def trial(case):
        fault = harness.wrong(case, harness.run(case.arguments, given, begin))
        tally(case, fault is None)
        return fault

    if faults := harness.all_of(chosen, trial):
        pytest.fail("\n".join([f"{len(faults)} of {len(chosen)}:", *faults]), pytrace=False)


@pytest.fixture(scope="module")
def every():
    return cases.every()


def test_some_of_what_was_reported_is_refused(given, tally):
    files = [case for case, _, _ in reported.files()]
    refuse([*reported.cases(), *files][::QUICK], given, tally)


def test_a_sample_of_all_fields_is_refused(every, given, tally):
    refuse(cases.sampled(every, 1, 0, cases.group_and_kind)[::GENERATED], given, tally, harness.BEGUN)


@pytest.mark.slow
def test_what_was_reported_is_refused(given, tally):
    refuse(list(reported.cases()), given, tally)


@pytest.mark.slow
def test_what_a_file_of_ones_own_has_wrong_is_refused(given, tally):
    refuse([case for case, _, _ in reported.files()], given, tally)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("group", EVERY_GROUP)
def test_every_field_refuses_every_kind_of_wrong_value(group, every, given, tally):
    """A value of each kind of wrongness for each field, drawn by a seed."""
    chosen = [case for case in cases.sampled(every, 1, 1, cases.setting_and_kind) if case.group == group]
    refuse(chosen, given, tally, harness.BEGUN)


def test_no_group_is_left_out(every):
    assert {case.group for case in every} == set(EVERY_GROUP)


@pytest.mark.slow
def test_processes_of_their_own_refuse_as_forked_ones_do(every, given):
    typable = [case for case in every if "\0" not in "".join(case.arguments)]
    chosen = [*cases.sampled(typable, 1, 2, cases.group_and_kind)[::6], *list(reported.cases())[::12]]
    differing = {}
    for case in chosen:
        alone, forked = (harness.run(case.arguments, given, start=how) for how in (harness.fresh, harness.forked))
        if (alone.status == 0, alone.text, alone.made) != (forked.status == 0, forked.text, forked.made):
            differing[str(case)] = alone, forked
    if differing:
        told = (f"{case}\n  {alone}\n  {forked}" for case, (alone, forked) in differing.items())
        pytest.fail("\n".join(told), pytrace=False)


def test_every_number_and_list_has_a_meaning():
    """A new one is given its bounds in meanings.py too."""
    unknown = [
        f"{setting.choice}/{setting.name}"
        for setting in cases.settings()
        if kind_of(setting.hint) in ("int", "float", "list")
        and not meanings.known(setting.name.replace("target.", "model."), setting.choice)
    ]
    assert not unknown
