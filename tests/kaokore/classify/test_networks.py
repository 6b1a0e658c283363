"""The networks and their ImageNet weights, downloaded or not."""

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import torch
from torch import nn

from kaokore.classify import networks
from kaokore.classify.networks import MODELS, build, imagenet_weights, parts, start_from
from renderer.errors import InputError


@pytest.mark.parametrize("model", MODELS)
def test_networks_accept_their_minimum_size(model):
    network = build(model, 4).eval()
    least = MODELS[model].min_size
    with torch.no_grad():
        assert network(torch.rand(2, 3, least, least)).shape == (2, 4)
    first = next(network.parameters())
    assert any(first is parameter for parameter in parts(network)[0].parameters())
    assert not any(isinstance(part, nn.Linear) for part in parts(network))


def test_the_weights_are_loaded_without_the_head():
    network = build("resnet18", 2)
    weights = build("resnet18", 1000).state_dict()
    fresh = network.fc.weight.clone()
    start_from(network, weights)
    assert torch.equal(network.layer4[1].conv2.weight, weights["layer4.1.conv2.weight"])
    assert torch.equal(network.fc.weight, fresh)
    with pytest.raises(InputError, match="another network"):
        start_from(network, build("mobilenet_v2", 1000).state_dict())


def test_old_names_of_densenet_layers(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = build("densenet121", 1000)
    old = {
        name.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in name else name: weight
        for name, weight in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(old, folder / "densenet121-a639ec97.pth")
    other = build("densenet121", 2)
    start_from(other, imagenet_weights("densenet121"))
    assert torch.equal(
        other.features.denseblock1.denselayer1.conv2.weight, network.features.denseblock1.denselayer1.conv2.weight
    )
    (folder / "densenet121-a639ec97.pth").write_bytes(b"something else")
    with pytest.raises(InputError, match="damaged"):
        imagenet_weights("densenet121")


def serve(handler):
    server = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_a_silent_server_times_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/net-01234567.pth"
        with pytest.raises(InputError, match=r"cannot be downloaded \(ReadTimeout\)"):
            networks._download(url, tmp_path / "net.pth", timeout=0.2)
    assert not list(tmp_path.iterdir())


def test_downloads_are_checked(tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if "missing" in self.path else 200)
            self.end_headers()
            self.wfile.write(b"weights")

        def log_message(self, *_):
            pass

    server = serve(Handler)
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        networks._download(f"{address}/net-9a129038.pth", tmp_path / "net.pth", 5)
        assert (tmp_path / "net.pth").read_bytes() == b"weights"
        for name in ("net-00000000.pth", "missing-00000000.pth"):
            with pytest.raises(InputError, match="cannot be downloaded"):
                networks._download(f"{address}/{name}", tmp_path / name, 5)
            assert not (tmp_path / name).exists()
    finally:
        server.shutdown()
        server.server_close()
