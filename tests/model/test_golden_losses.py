from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.model.golden_losses import CASES, FOLDER, losses


@pytest.mark.parametrize("case", CASES)
def test_the_first_ten_losses_stay_what_they_are(case: str) -> None:
    torch.set_num_threads(1)
    golden = json.loads((FOLDER / f"{case}.json").read_text())
    found = losses(case)
    # Another CPU rounds otherwise; a change of the model or the optimiser is far larger.
    np.testing.assert_allclose(found, golden, rtol=2e-4)
    assert found == losses(case), "one thread, bit for bit"
