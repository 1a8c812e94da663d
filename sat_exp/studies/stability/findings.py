"""The findings of the study in words, and on the terminal."""

from collections.abc import Iterator, Mapping

import pandas as pd
from rich.table import Table

from sat_exp.report.headline import listed, value
from sat_exp.studies.stability.variants import REFERENCE
from sat_exp.tasks import printing

VARIANTS = {"variant": "", "white_box_success": ".1%", "mean_transfer_rate": ".1%", "mean_sat": ".2f"} | {
    "attack_seconds": ".0f"
}
AGREEMENT = (
    {"variant": ""}
    | dict.fromkeys(["spearman", "spearman_low", "spearman_high"], ".3f")
    | {
        "rand": ".2f",
        "rand_low": ".2f",
        "rand_high": ".2f",
        "same_nearest": ".0%",
        "moved": ".0%",
    }
)
CONTRAST = {"variant": "", "gap": ".2f", "gap_low": ".2f", "gap_high": ".2f", "sharpness": ".1f", "auc": ".3f"} | {
    "relatives_saturated": ".0%",
    "strangers_saturated": ".0%",
}
IMAGES = {"images": ",d", "spearman": ".3f", "spearman_low": ".3f", "spearman_high": ".3f"}


def sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What changes SAT most and least, what tells relatives from strangers best, and which conclusions change."""
    found = [
        of_factors(tables["variant_agreement"], tables["variant_images"]),
        of_contrast(tables.get("variant_contrast")),
        of_conclusions(tables["variant_agreement"], tables["variant_components"]),
    ]
    return [sentence for sentence in found if sentence]


def of_factors(table: pd.DataFrame, images: pd.DataFrame) -> str:
    """The range of the rank correlation for each factor, and that of other images."""
    others = table[table["factor"] != REFERENCE].dropna(subset="spearman")
    if others.empty:
        return "The rank correlation with the run's own settings is unknown: SAT is constant."
    ranges = []
    for factor, rows in others.groupby("factor", sort=False):
        low, high = f"{rows['spearman'].min():.2f}", f"{rows['spearman'].max():.2f}"
        ranges.append(f"{factor} {low}" if low == high else f"{factor} {low} to {high}")
    text = f"Rank correlation of SAT with that of the run's own settings, by what is changed: {'; '.join(ranges)}"
    if len(images):
        count, same = images["images"].iloc[0], images["spearman"].iloc[0]
        text += f"; between {count:.0f} images and {count:.0f} others it is {same:.2f}"
    return f"{text}."


def of_contrast(table: pd.DataFrame | None) -> str:
    """The variant that tells relatives from strangers best, and where relatives are saturated."""
    if table is None or table["sharpness"].isna().all():
        return ""
    best, own = table.loc[table["sharpness"].idxmax()], table.iloc[0]
    text = (
        f"Pairs of one family and other pairs are told apart best by {best['variant']}: their mean SAT differs by "
        f"{value(best, 'gap', '.2f')}, {best['sharpness']:.0f} standard errors"
    )
    if best["variant"] != REFERENCE:
        text += f"; with the run's own settings {own['sharpness']:.0f}"
    full = table[table["relatives_saturated"] >= 0.5]["variant"]
    return text + (
        f"; half of the pairs of one family or more are saturated under {listed(full)}." if len(full) else "."
    )


def of_conclusions(agreement: pd.DataFrame, components: pd.DataFrame) -> str:
    """Which variants change the clusters by more than other images do, and which component SAT follows most."""
    own, others = agreement.iloc[0], agreement.iloc[1:]
    beyond = others[others["rand"] < own["rand_low"]]["variant"]
    text = "No change moves the clusters by more than other images do"
    if len(beyond):
        text = f"Clusters change by more than with other images under {listed(beyond)}"
    first = components[components["rank"] == 1].groupby("variant", sort=False)["component"].agg(" and ".join)
    if first.empty:
        return f"{text}."
    same = int((first == first.iloc[0]).sum())
    return f"{text}; SAT follows {first.iloc[0].replace('_', ' ')} most under {same} of {len(first)} variants."


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The tables on the terminal."""
    yield printing.table("variants", tables["variants"], VARIANTS)
    yield printing.table("agreement with the reference", tables["variant_agreement"], AGREEMENT)
    if "variant_contrast" in tables:
        yield printing.table("pairs of one family against others", tables["variant_contrast"], CONTRAST)
    if len(tables["variant_images"]):
        yield printing.table("SAT of n images with that of n others", tables["variant_images"], IMAGES)
