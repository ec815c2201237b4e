"""Distil a trained field into a small network of PyTorch: python examples/torch_loop.py latest (pip install torch)."""

import sys

import torch

import gridfield as gf

field = gf.load(sys.argv[1])
network = torch.nn.Sequential(
    torch.nn.Linear(6, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4)
)
optimizer = torch.optim.Adam(network.parameters(), 1e-3)

for step in range(500):
    xyz = 2 * torch.rand(4096, 3) - 1
    dirs = torch.nn.functional.normalize(torch.randn(4096, 3), dim=1)
    # The tensors' memory is read in place, and the results' memory is the tensors'.
    density, rgb = map(torch.from_numpy, field.query(xyz.numpy(), dirs.numpy()))
    predicted = network(torch.cat([xyz, dirs], 1))
    opaque = 1 - torch.exp(-0.05 * density)
    loss = ((predicted[:, 0].sigmoid() - opaque) ** 2).mean()
    loss = loss + (opaque[:, None] * (predicted[:, 1:].sigmoid() - rgb) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 99:
        print(f"step {step + 1}: loss {loss.item():.4f}")
