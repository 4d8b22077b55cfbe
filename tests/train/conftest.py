"""What every small training run would compute anew, computed once."""

import pytest
import torch

from train import networks


@pytest.fixture(autouse=True, scope="session")
def whitening_once():
    """The whitening of the bundled text encoder, which every run from random weights begins with: 1024 captions encoded."""
    whitening, found = networks.whitening, []

    def remember(pipe) -> torch.Tensor:
        if not found:
            found.append(whitening(pipe))
        return found[0]

    networks.whitening = remember
    yield
    networks.whitening = whitening
