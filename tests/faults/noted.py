"""An attack that writes down how many images it attacks, for the count of work that is done twice."""

import os
from dataclasses import dataclass
from typing import Any

from sat_exp.attacks import PGD


@dataclass(frozen=True)
class Noted(PGD):
    def __call__(self, classifier: Any, images: Any, labels: Any, seeds: Any) -> Any:
        noted = os.open(os.environ["NOTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(noted, b"x" * len(images))
        os.close(noted)
        return super().__call__(classifier, images, labels, seeds)
