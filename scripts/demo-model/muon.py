"""Muon for the hidden matrices: momentum, then an orthogonalised update, one batched product for each matrix shape."""
import torch

MOMENTUM = 0.95
WEIGHT_DECAY = 0.02
NEWTON_SCHULZ_STEPS = 4


def wide(matrix):
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()


def orthogonalise(matrices):
    """Newton-Schulz iterations towards the nearest matrices with orthonormal rows."""
    x = matrices.bfloat16()
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()
    for _ in range(NEWTON_SCHULZ_STEPS):
        a = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.775, alpha=2.0315), x, beta=3.4445)
    return x.float()


class Muon:
    def __init__(self, parameters, lr):
        self.param_groups = [dict(lr=lr)]
        shapes = {}
        for parameter in parameters:
            shapes.setdefault(tuple(sorted(parameter.shape)), []).append(parameter)
        self.groups = [(group, torch.zeros(len(group), *shape)) for shape, group in shapes.items()]

    def zero_grad(self):
        for group, _ in self.groups:
            for parameter in group:
                parameter.grad = None

    @torch.no_grad()
    def step(self):
        rate = self.param_groups[0]["lr"]
        for group, momentum in self.groups:
            gradient = torch.stack([wide(parameter.grad) for parameter in group])
            momentum.mul_(MOMENTUM).add_(gradient, alpha=1 - MOMENTUM)
            updates = orthogonalise(torch.lerp(gradient, momentum, MOMENTUM)) * (0.2 * max(momentum.shape[1:]) ** 0.5)
            for parameter, update in zip(group, updates):
                wide(parameter.data).mul_(1 - rate * WEIGHT_DECAY).add_(update, alpha=-rate)
