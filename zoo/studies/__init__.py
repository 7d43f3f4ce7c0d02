"""Models trained and measured side by side: sweeps of one's own, and the tables of papers."""

from zoo.studies.claims import claims_of
from zoo.studies.report import StudyReport
from zoo.studies.results import Result, Results, beside
from zoo.studies.run import carry_out, check
from zoo.studies.study import Study, Trial, find_paper, read_study

__all__ = [
    "Result",
    "Results",
    "Study",
    "StudyReport",
    "Trial",
    "beside",
    "carry_out",
    "check",
    "claims_of",
    "find_paper",
    "read_study",
]
