"""The matmul peak on a clock that the tests set, and FLOPs that leave compilation alone."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from titokzip.runtime import matmul_peak, precision
from titokzip.runtime.matmul_peak import count_flops, share_of_peak


@pytest.fixture
def device(monkeypatch):
    """Replace the device by one that works only while it is waited for, at a rate per side."""

    class Device:
        def __init__(self):
            self.rates = {}  # FLOP/s by side
            self.asked = []  # side and type of each product
            self.now = self.queued = 0.0

        def matmul(self, a, b, out):
            self.asked.append((len(a), a.dtype))
            self.queued += 2 * len(a) ** 3 / self.rates[len(a)]

        def synchronize(self, _):
            self.now += self.queued
            self.queued = 0.0

    device = Device()
    monkeypatch.setattr(matmul_peak, "_SIDES", {"cpu": (8, 16, 32), "cuda": (8, 16, 32)})
    monkeypatch.setattr(matmul_peak, "synchronize", device.synchronize)
    monkeypatch.setattr(matmul_peak.time, "perf_counter", lambda: device.now)
    monkeypatch.setattr(torch, "matmul", device.matmul)
    matmul_peak._measured.cache_clear()
    yield device
    matmul_peak._measured.cache_clear()


def test_the_side_grows_until_the_device_is_saturated(device):
    device.rates = {8: 1e5, 16: 4e5, 32: 9e5}
    assert matmul_peak.matmul_peak("cpu", torch.float32) == pytest.approx(9e5)


def test_the_search_ends_where_the_rate_no_longer_grows(device):
    device.rates = {8: 1e5, 16: 1.01e5, 32: 9e9}
    assert matmul_peak.matmul_peak("cpu", torch.float32) == pytest.approx(1.01e5)
    assert {side for side, _ in device.asked} == {8, 16}


def test_the_device_is_waited_for_before_the_clock_is_read(device):
    """Without it, queued products would take no time at all."""
    device.rates = dict.fromkeys((8, 16, 32), 2e5)
    assert matmul_peak.matmul_peak("cpu", torch.float32) == pytest.approx(2e5)


def test_each_precision_is_measured_once_in_that_precision(device, monkeypatch):
    device.rates = dict.fromkeys((8, 16, 32), 2e5)
    for dtype in (torch.float32, torch.bfloat16):
        matmul_peak.matmul_peak(torch.device("cpu"), dtype)
        assert {kind for _, kind in device.asked} == {dtype}
        device.asked.clear()
        assert matmul_peak.matmul_peak("cpu", dtype) == pytest.approx(2e5)
        assert device.asked == []
    with precision.tf32(True):  # another precision, under the same name
        matmul_peak.matmul_peak("cpu", torch.float32)
    assert device.asked


def test_matrices_fit_into_the_memory_that_is_free(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (6 * 16**2 * 4, 1 << 40))
    cuda = torch.device("cuda")
    assert matmul_peak._sides(cuda, torch.float32) == [8, 16]
    assert matmul_peak._sides(cuda, torch.float64) == [8]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 1 << 40))
    assert matmul_peak._sides(cuda, torch.float32) == [8]


def test_a_share_of_the_peak_is_never_more_than_one():
    assert share_of_peak(50, 2, 100) == 0.25
    assert share_of_peak(300, 2, 100) == 1


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x):
        return self.linear(x) + 1


def test_flops_are_those_of_the_products():
    net, x = Net(), torch.ones(3, 8)
    assert count_flops(lambda: net(x)) == 2 * 3 * 8 * 4
    assert count_flops(lambda: net(x).sum().backward()) == 2 * (2 * 3 * 8 * 4)


def compiled():
    """Make a network and the list of the graphs that are compiled of it."""
    net, graphs = Net(), []
    torch._dynamo.reset()
    net.compile(backend=lambda graph, _: graphs.append(graph) or graph.forward)
    return net, graphs


def test_counting_flops_does_not_stop_compilation():
    net, graphs = compiled()
    assert count_flops(lambda: net(torch.ones(3, 8))) == 2 * 3 * 8 * 4
    assert graphs == []
    net(torch.ones(3, 8))
    assert len(graphs) == 1


def test_torchs_counter_alone_does():
    net, graphs = compiled()
    with FlopCounterMode(display=False):
        net(torch.ones(3, 8))
    net(torch.ones(3, 8))
    assert graphs == []
