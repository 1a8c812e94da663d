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
    return [
        *of_factors(tables["variant_agreement"]),
        *of_images(tables["variant_images"]),
        *of_clusters(tables["variant_agreement"]),
        *of_contrast(tables.get("variant_contrast")),
        *of_components(tables["variant_components"]),
    ]


def of_factors(table: pd.DataFrame) -> Iterator[str]:
    """The range of the rank correlation for each factor, and the variant that agrees least."""
    others = table[table["factor"] != REFERENCE].dropna(subset="spearman")
    if others.empty:
        return
    ranges = []
    for factor, rows in others.groupby("factor", sort=False):
        low, high = f"{rows['spearman'].min():.2f}", f"{rows['spearman'].max():.2f}"
        ranges.append(f"{factor} {low}" if low == high else f"{factor} {low} to {high}")
    least = others.loc[others["spearman"].idxmin()]
    yield f"Rank correlation of SAT with that of the run's own settings, by what is changed: {'; '.join(ranges)}."
    yield (
        f"It agrees least with {least['variant']}: {value(least, 'spearman', '.2f')}; "
        f"{least['moved']:.0%} of the pairs move by more than sampling error."
    )


def of_images(table: pd.DataFrame) -> Iterator[str]:
    """The agreement of SAT with SAT of other images."""
    if len(table):
        row = table.iloc[0]
        yield (
            f"With other images instead, SAT of {row['images']:.0f} images has a rank correlation of "
            f"{value(row, 'spearman', '.2f')} with SAT of {row['images']:.0f} others."
        )


def of_clusters(table: pd.DataFrame) -> Iterator[str]:
    """Which variants change the clusters by more than other images do."""
    own, others = table.iloc[0], table.iloc[1:]
    beyond = others[others["rand"] < own["rand_low"]]["variant"]
    alike = f"The draws of the images alone give adjusted Rand indices of {own['rand_low']:.2f} or more."
    if beyond.empty:
        yield f"No change moves the clusters by more than other images do. {alike}"
    else:
        yield f"Clusters change by more than with other images under {listed(beyond)}. {alike}"


def of_contrast(table: pd.DataFrame | None) -> Iterator[str]:
    """The variant that tells relatives from strangers best, and where relatives are saturated."""
    if table is None or table["sharpness"].isna().all():
        return
    best, own = table.loc[table["sharpness"].idxmax()], table.iloc[0]
    yield (
        f"Pairs of one family and other pairs are told apart best by {best['variant']}: their mean SAT differs by "
        f"{value(best, 'gap', '.2f')}, {best['sharpness']:.0f} standard errors; with the run's own settings, "
        f"{own['sharpness']:.0f}."
    )
    full = table[table["relatives_saturated"] >= 0.5]["variant"]
    if len(full):
        yield f"At least half of the pairs of one family are saturated under {listed(full)}."


def of_components(table: pd.DataFrame) -> Iterator[str]:
    """Which component SAT follows most, and under which variants another one."""
    first = table[table["rank"] == 1].groupby("variant", sort=False)["component"].agg(", ".join)
    if first.empty:
        return
    own = first.iloc[0]
    other = first[first != own]
    text = f"SAT follows {own.replace('_', ' ')} most"
    if other.empty:
        yield f"{text} under every variant."
    else:
        named = [f"{component.replace('_', ' ')} under {variant}" for variant, component in other.items()]
        yield f"{text}, under {len(first) - len(other)} of {len(first)} variants; {listed(named, '; ')}."


def printed(tables: Mapping[str, pd.DataFrame]) -> Iterator[Table]:
    """The tables on the terminal."""
    yield printing.table("variants", tables["variants"], VARIANTS)
    yield printing.table("agreement with the reference", tables["variant_agreement"], AGREEMENT)
    if "variant_contrast" in tables:
        yield printing.table("pairs of one family against others", tables["variant_contrast"], CONTRAST)
    if len(tables["variant_images"]):
        yield printing.table("SAT of n images with that of n others", tables["variant_images"], IMAGES)
