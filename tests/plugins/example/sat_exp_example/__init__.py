"""An example of a plug-in for sat_exp. Each kind has its own file; the study is registered here.

Every command that reads a run imports this file, so it imports nothing large.
"""

from sat_exp.runs.registry import Study
from sat_exp.runs.schema import Table, columns

STUDY = Study(
    "example_hubs",
    "which models are hubs of transfer",
    {"example_hubs": Table(columns(name="model", rate="from_it to_it"), unique=("model",))},
    drawings="sat_exp_example.study:drawings",
    computes=False,
)
