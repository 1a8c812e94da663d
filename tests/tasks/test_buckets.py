"""A store in a bucket from the command line: results, listing, and secrets, which appear nowhere."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ..buckets import SECRET
from ..command import QUICK

PAIR = ("task=transfer", "model=fashion_resnet", "model@target=fashion_mixer")


def words(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_pair_with_its_store_in_a_bucket(sat_exp: Any, bucket: str, outputs: Path) -> None:
    here = sat_exp(*QUICK, *PAIR, "name=here")
    there = sat_exp(*QUICK, *PAIR, "name=there", f"store={bucket}")
    assert (here.status, there.status) == (0, 0), there.text
    tables = [pd.read_parquet(outputs / name / "tables" / "pairs.parquet") for name in ("here", "there")]
    pd.testing.assert_frame_equal(*tables)
    assert SECRET not in there.text
    assert SECRET.encode() not in words(outputs / "there")
    assert bucket.encode() in (outputs / "there" / ".hydra" / "config.yaml").read_bytes()
    listed = sat_exp("task=store", f"store={bucket}", "task.verify=true")
    assert listed.status == 0, listed.text
    assert "adversarial" in listed.text
    assert sat_exp("task=store", f"store={bucket}", "task.prune=*").status == 0
    assert "adversarial" not in sat_exp("task=store", f"store={bucket}").text


def test_a_plan_for_a_bucket_knows_no_free_space(sat_exp: Any) -> None:
    outcome = sat_exp("task=plan", "pool=any", "pool.models=[fashion_mixer]", *QUICK, "store=s3://study/plan")
    assert outcome.status == 0, outcome.text
    assert "free" not in outcome.text


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (f"s3://key:{SECRET}@study/x", "without credentials"),
        (f"s3://study/x?secret={SECRET}", "without credentials"),
        ("ftp://study/x", "its scheme is one of s3, gs, az"),
        ("s3:///x", "a URL such as s3://BUCKET/NAME"),
    ],
)
def test_a_url_with_credentials_or_of_another_service_is_refused(
    sat_exp: Any, place: str, why: str, outputs: Path, tmp_path: Path
) -> None:
    for sweep in ((), ("-m",)):
        outcome = sat_exp(*sweep, *QUICK, *PAIR, f"store='{place}'")
        assert outcome.status != 0
        assert why in outcome.text
        assert SECRET not in outcome.text
    assert SECRET.encode() not in words(outputs) + words(tmp_path)


def test_a_bucket_that_cannot_be_reached_is_one_line(
    sat_exp: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    monkeypatch.setattr("sat_exp.store.objects.SECONDS", 0.1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    outcome = sat_exp(*QUICK, *PAIR, f"store={bucket}")
    assert outcome.status != 0
    assert f"{bucket}/" in outcome.text
    assert "Traceback" not in outcome.text
    assert SECRET not in outcome.text


def test_a_url_for_the_folder_of_runs_is_refused_with_the_setting_that_takes_it(sat_exp: Any, tmp_path: Path) -> None:
    outcome = sat_exp("task=train", "model=fashion_mixer", *QUICK, "task.directory=s3://study/x")
    assert outcome.status != 0
    assert "only store= may be the URL of a bucket" in outcome.text
    assert not (tmp_path / "s3:").exists()
