"""The figures of an analysis."""

from sat_exp.report import theme
from sat_exp.report.results import Results
from sat_exp.report.theme import Drawing
from sat_exp.studies.analyze.figures import clusters, images, models


@theme.style()
def drawings(results: Results) -> dict[str, Drawing]:
    """The figures by name, in the order of the page; empty for a run that is no analysis."""
    tables = results.own
    if "cluster_stability" not in tables:
        return {}
    repeated = "on other draws of the images" if "sample_size" in tables else "on SAT with other sampling errors added"
    drawn = {"clusters": clusters.clustered(results), "without_hubs": clusters.without_hubs(results)}
    if "consensus" in tables and (tables["consensus"]["matrix"] == "SAT").any():
        drawn["consensus"] = clusters.consensus(results, repeated)
    drawn["cluster_stability"] = clusters.stability(tables["cluster_stability"], repeated)
    drawn["embedding"] = models.embedding(tables["embedding"], tables["clusters"])
    if "directed" in tables:
        drawn["directed"] = models.directed(results)
    if "importance" in tables:
        drawn["importance"] = models.importance(tables["importance"])
    if "regimes" in tables:
        drawn["regimes"] = models.regimes(tables["regime_pairs"], tables["regimes"])
    if "controls" in tables:
        drawn["controls"] = images.controls(tables["controls"], tables["controls_and_sat"])
    if "sample_size" in tables:
        drawn["sample_size"] = images.sample_size(tables["sample_size"])
    return drawn
