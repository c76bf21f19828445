"""The order in which ``CudaDevice`` asks CUDA for things; torch's CUDA calls are replaced by specified mocks."""

from __future__ import annotations

from unittest import mock

import pytest
import torch

from gshead_backend.avatar.device_torch import WARM_UP, CudaDevice, HostDevice, device_of


@pytest.fixture
def cuda(monkeypatch):
    """Everything said to torch.cuda, in order."""
    said = mock.MagicMock()
    for name in ("Stream", "Event", "CUDAGraph"):
        kind = getattr(torch.cuda, name)
        made = []

        def make(*args, kind=kind, name=name, made=made, **kwargs):
            one = mock.create_autospec(kind, instance=True)
            made.append(one)
            said.attach_mock(one, f"{name}{len(made)}")
            return one

        monkeypatch.setattr(torch.cuda, name, make)
    for name in ("graph", "stream", "device"):
        context = mock.create_autospec(getattr(torch.cuda, name))
        context.return_value.__exit__.return_value = None
        said.attach_mock(context, name)
        monkeypatch.setattr(torch.cuda, name, context)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: said.main)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    return said


def names(said) -> list[str]:
    return [call[0] for call in said.mock_calls]


def test_a_device_without_a_number_is_the_current_one(cuda):
    assert device_of("cuda").device == torch.device("cuda", 3)
    assert device_of("cuda:1").device == torch.device("cuda", 1)
    assert isinstance(device_of("cpu"), HostDevice)


def test_an_upload_ends_with_an_event_behind_it(cuda):
    device, host, target = CudaDevice("cuda:0"), mock.Mock(torch.Tensor), mock.Mock(torch.Tensor)
    cuda.attach_mock(target, "target")
    done = device.upload(host, target)
    assert names(cuda)[-2:] == ["target.copy_", "Event1.record"]
    target.copy_.assert_called_once_with(host, non_blocking=True)
    done.record.assert_called_once_with(cuda.main)


def test_read_back_waits_for_the_kernels_and_runs_on_its_own_stream(cuda):
    device = CudaDevice("cuda:0")
    source, target = mock.Mock(torch.Tensor), mock.Mock(torch.Tensor)
    cuda.attach_mock(source, "source")
    cuda.attach_mock(target, "target")
    done = device.read_back([(source, target)])
    copies = cuda.Stream1
    assert names(cuda) == [
        "Event1.record", "stream", "stream().__enter__", "Stream1.wait_event", "target.copy_", "source.record_stream",
        "Event2.record", "stream().__exit__",
    ]  # fmt: skip
    cuda.Event1.record.assert_called_once_with(cuda.main)
    cuda.stream.assert_called_once_with(copies)
    copies.wait_event.assert_called_once_with(cuda.Event1)
    target.copy_.assert_called_once_with(source, non_blocking=True)
    source.record_stream.assert_called_once_with(copies)
    done.record.assert_called_once_with(copies)


def test_a_step_is_warmed_up_recorded_and_replayed(cuda):
    device, step = CudaDevice("cuda:0"), mock.Mock(return_value="outputs")
    cuda.attach_mock(step, "step")
    replay = device.captured(step)
    assert names(cuda) == [
        "Stream2.wait_stream", "stream", "stream().__enter__", *["step"] * WARM_UP, "stream().__exit__",
        "main.wait_stream", "graph", "graph().__enter__", "step", "graph().__exit__",
    ]  # fmt: skip
    cuda.graph.assert_called_once_with(cuda.CUDAGraph1, stream=cuda.Stream2, capture_error_mode="thread_local")
    assert (replay(), replay()) == ("outputs", "outputs")
    assert cuda.CUDAGraph1.replay.call_count == 2
    assert step.call_count == WARM_UP + 1


def test_a_capture_that_fails_leaves_the_stream_as_it_was(cuda, monkeypatch):
    device, step = CudaDevice("cuda:0"), mock.Mock(side_effect=[1, 2, 3, RuntimeError("not while capturing")])
    monkeypatch.setattr(torch.cuda, "set_stream", mock.create_autospec(torch.cuda.set_stream))
    cuda.graph.return_value.__exit__.side_effect = RuntimeError("the capture was invalidated")
    with pytest.raises(RuntimeError, match="invalidated"):
        device.captured(step)
    torch.cuda.set_stream.assert_called_once_with(cuda.main)


def test_what_is_made_inside_can_be_written_to_outside_of_inference_mode():
    device = HostDevice()
    with torch.inference_mode():
        with device.active():
            tensor = torch.zeros(3)
        assert not tensor.is_inference()
    tensor += 1
    assert tensor.sum() == 3
