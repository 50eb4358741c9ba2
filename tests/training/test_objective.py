"""What training minimises."""

import torch

from titokzip.training.objective import grid_loss, phase_loss


def test_noise_and_gradients_repeat_by_chance_and_a_grid_does_not():
    torch.manual_seed(0)
    noise = torch.rand(4, 3, 256, 256)
    ramp = torch.linspace(0, 1, 256).expand(4, 3, 256, -1)
    assert 0.8 < float(grid_loss(noise, 16)) < 1.2
    assert float(grid_loss(ramp + 0.01 * noise, 16)) < 1.2
    cell = torch.rand(4, 3, 16, 16).tile(1, 1, 16, 16)
    assert abs(float(grid_loss(cell, 16)) - 16) < 0.5  # nothing else is there
    mixed = ramp + 0.1 * noise + 0.1 * cell
    assert 6 < float(grid_loss(mixed, 16)) < 11
    assert float(grid_loss(mixed, 13)) < 1.5  # its period is another's


def test_a_grid_is_unlearnt():
    torch.manual_seed(0)
    noise, cell = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 8, 8).tile(1, 1, 8, 8)
    added = cell.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([added], lr=0.05)
    before = float(grid_loss(noise + added, 8).detach())
    for _ in range(40):
        optimizer.zero_grad()
        grid_loss(noise + added, 8).backward()
        optimizer.step()
    assert float(grid_loss(noise + added, 8).detach()) < before / 4


def test_flat_pictures_have_no_grid():
    assert float(grid_loss(torch.full((1, 3, 64, 64), 0.5), 16)) < 1e-3


def test_steps_where_cells_meet_are_uneven():
    torch.manual_seed(0)
    noise = torch.rand(2, 3, 256, 256)
    cells = torch.rand(2, 3, 16, 16).repeat_interleave(16, 2).repeat_interleave(16, 3)
    assert float(phase_loss(noise, 16)) < 0.01
    assert float(phase_loss(cells, 16)) > 20  # there are no steps elsewhere: 2 * 15
    assert float(phase_loss(noise + 0.5 * cells, 16)) > 5 * float(phase_loss(noise, 16))
    assert float(phase_loss(noise + 0.5 * cells, 13)) < 0.01
    assert float(phase_loss(torch.full((1, 3, 64, 64), 0.5), 16)) < 1e-6
